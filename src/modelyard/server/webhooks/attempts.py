"""Writing the result of an attempt: the delivery, its webhook, and the audit log if the webhook is disabled."""

import random
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.webhooks.delivery_leases import LeasedDelivery
from modelyard.server.webhooks.schedule import NextStep, Outcome, decide_hold, decide_next_step
from modelyard.server.webhooks.tables import WebhookDeliveryRow, WebhookRow


def record_attempt(database: Database, leased: LeasedDelivery, outcome: Outcome) -> bool:
    """Write the outcome of an attempt, and release its lease; return False if the lease is lost or the webhook deleted.

    The delivery gets its next attempt or ends. A failure holds the webhook's other deliveries for a time, a success
    releases them. A webhook that failed for too long, or that its receiver ended, is disabled, which is recorded.
    """
    with database.writing(leased.row.team_id) as session:
        row = session.get(WebhookDeliveryRow, leased.row.id, with_for_update=True)
        if row is None or row.lease != leased.lease:
            return False
        webhook = session.get_one(WebhookRow, row.webhook_id)
        moment = get_database_time(session)
        step = _decide(row, webhook, outcome)
        _write_delivery(row, outcome, moment)
        row.delivery_state = step.state
        row.next_attempt_at = moment + step.pause if step.pause is not None and webhook.is_enabled else None
        webhook.last_error = outcome.message
        _hold_or_release(webhook, row, outcome, moment)
        if step.disabled_reason is not None and webhook.is_enabled:
            _disable_webhook(session, webhook, step, moment)
    return True


def _decide(row: WebhookDeliveryRow, webhook: WebhookRow, outcome: Outcome) -> NextStep:
    """Return what follows an attempt; a test is sent once, and never disables a webhook."""
    if row.event_id is None and not outcome.is_success:
        return NextStep("failed")
    has_delivered_since = webhook.last_delivered_at is not None and webhook.last_delivered_at > row.created_at
    jitter = random.random()  # noqa: S311 - spreads requests, and keeps no secret
    return decide_next_step(outcome, row.tries + 1, jitter, has_delivered_since=has_delivered_since)


def _hold_or_release(webhook: WebhookRow, row: WebhookDeliveryRow, outcome: Outcome, moment: datetime) -> None:
    """Hold the deliveries of a webhook for a time after a failure, except that of a test; release them after a success.

    Otherwise a receiver that does not answer would take the senders of all teams with each of its deliveries.
    """
    if outcome.is_success:
        webhook.last_delivered_at = moment
        release_hold(webhook)
    elif row.event_id is not None:
        webhook.failing_since = webhook.failing_since or moment
        webhook.held_until = moment + decide_hold(moment - webhook.failing_since, outcome.retry_after)


def release_hold(webhook: WebhookRow) -> None:
    """Let the deliveries of a webhook be sent at once when they are due."""
    webhook.failing_since = webhook.held_until = None


def _write_delivery(row: WebhookDeliveryRow, outcome: Outcome, moment: datetime) -> None:
    """Write what an attempt found, and release the lease."""
    row.is_requested = False
    row.lease = row.leased_until = None
    row.tries = 0 if outcome.is_success else row.tries + 1
    row.attempted_at = moment
    row.response_status, row.error = outcome.status, outcome.message


def _disable_webhook(session: Session, webhook: WebhookRow, step: NextStep, moment: datetime) -> None:
    """Disable a webhook with a reason for people; its pending deliveries wait until it is enabled again."""
    webhook.is_enabled, webhook.disabled_reason, webhook.disabled_at = False, step.disabled_reason, moment
    suspend_deliveries(session, webhook)
    facts = {"display_name": webhook.display_name, "reason": step.disabled_reason}
    audit.record(session, audit.SYSTEM, webhook.team_id, "webhook.disabled", webhook.id, **facts)


def suspend_deliveries(session: Session, webhook: WebhookRow) -> None:
    """Remove the next attempts of a webhook's pending deliveries, so that they wait until ``resume_deliveries``."""
    _set_next_attempts(session, webhook, None)


def resume_deliveries(session: Session, webhook: WebhookRow, moment: datetime) -> None:
    """Make all pending deliveries of a webhook due, and end a hold after failures."""
    release_hold(webhook)
    _set_next_attempts(session, webhook, moment)


def _set_next_attempts(session: Session, webhook: WebhookRow, moment: datetime | None) -> None:
    """Set the next attempt of all pending deliveries of a webhook."""
    session.flush()
    pending = (WebhookDeliveryRow.webhook_id == webhook.id) & (WebhookDeliveryRow.delivery_state == "pending")
    session.execute(
        update(WebhookDeliveryRow)
        .where(pending)
        .values(next_attempt_at=moment)
        .execution_options(synchronize_session=False)
    )
