"""Deliveries of a webhook: list them, send one again, and delete old ones."""

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.job_run import JobRun
from modelyard.server.database.session import announce, execute_and_count
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.http.params import parse_uuid
from modelyard.server.teams.context import TeamContext
from modelyard.server.webhooks.operations import find_webhook
from modelyard.server.webhooks.publishing import DELIVERY_DUE
from modelyard.server.webhooks.tables import WebhookDeliveryRow, WebhookRow
from modelyard.wire import problems
from modelyard.wire.webhooks import KEPT_DELIVERY_DAYS, MAX_DELIVERIES, WebhookDelivery, WebhookDeliveryList

_NEWEST_FIRST = Order((WebhookDeliveryRow.id,), is_descending=True)


def parse_delivery_id(text: str) -> UUID:
    """Return the delivery id of a request path; raises ``WebhookDeliveryNotFound`` if it is not a UUID."""
    return parse_uuid(text, _build_not_found())


def _build_not_found() -> problems.WebhookDeliveryNotFound:
    """Build the problem for a delivery that the webhook does not have."""
    return problems.WebhookDeliveryNotFound("The webhook has no such delivery.")


def list_deliveries(session: Session, team: TeamContext, webhook_id: UUID, page: Page) -> WebhookDeliveryList:
    """Return one page of a webhook's deliveries, newest first; raises ``WebhookNotFound``."""
    webhook = find_webhook(session, team, webhook_id)
    query = select(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook_id == webhook.id)
    rows, meta = list_page(session, query, page, _NEWEST_FIRST)
    return WebhookDeliveryList(delivery_list=[_build_delivery(row[0], webhook) for row in rows], page_meta=meta)


def _build_delivery(row: WebhookDeliveryRow, webhook: WebhookRow) -> WebhookDelivery:
    """Build the API's view of a delivery; the hold of its webhook delays its next attempt."""
    next_attempt_at = row.next_attempt_at
    if next_attempt_at is not None and webhook.held_until is not None and not row.is_requested:
        next_attempt_at = max(next_attempt_at, webhook.held_until)
    return WebhookDelivery(
        id=row.id,
        event_id=row.event_id,
        event_type=row.event_type,
        delivery_state=row.delivery_state,
        attempts=row.attempts,
        response_status=row.response_status,
        error=row.error,
        created_at=row.created_at,
        attempted_at=row.attempted_at,
        next_attempt_at=next_attempt_at,
    )


def redeliver(session: Session, team: TeamContext, webhook_id: UUID, delivery_id: UUID) -> UUID:
    """Make a delivery due, whatever its state, with the same body and ``webhook-id``; return its id.

    Recorded in the audit log. Its attempts follow the schedule from the start. One for a disabled webhook is sent once,
    then it waits. An attempt that is running loses its lease: it records nothing, and the delivery is sent once more.

    Raises:
        WebhookNotFound, WebhookDeliveryNotFound
    """
    webhook = find_webhook(session, team, webhook_id)
    row = session.get(WebhookDeliveryRow, delivery_id, with_for_update=True)
    if row is None or row.webhook_id != webhook.id:
        raise _build_not_found()
    row.delivery_state, row.tries, row.next_attempt_at = "pending", 0, get_database_time(session)
    row.lease, row.leased_until, row.is_requested = None, None, True
    facts = {"display_name": webhook.display_name, "delivery_id": str(row.id), "event_type": row.event_type}
    audit.record(session, team.actor, team.team_id, "webhook.redelivered", webhook.id, **facts)
    announce(session, DELIVERY_DUE)
    return row.id


def delete_old_deliveries(run: JobRun, limit: int = MAX_DELIVERIES) -> None:
    """Delete ended deliveries that were queued ``KEPT_DELIVERY_DAYS`` ago, and all but the newest ``limit`` of them.

    The limit is of each webhook. Deliveries that wait are never deleted; publishing limits their number. A team that
    cannot be written is left to the next run.
    """
    for page in run.iterate_pages(select(WebhookRow.id, WebhookRow.team_id), WebhookRow.id):
        for webhook in page:
            run.call_for_team(webhook.team_id, partial(_delete_old_of_webhook, run, webhook, limit))


def _delete_old_of_webhook(run: JobRun, webhook: Row[Any], limit: int) -> None:
    """Delete the old deliveries of a webhook page by page, except those that wait again since they were read."""
    has_ended = (WebhookDeliveryRow.webhook_id == webhook.id) & (WebhookDeliveryRow.delivery_state != "pending")
    newest_first = select(WebhookDeliveryRow.id).where(has_ended).order_by(WebhookDeliveryRow.id.desc())
    with run.database.reading() as session:
        last_beyond = session.scalar(newest_first.offset(limit).limit(1))
    is_old = WebhookDeliveryRow.created_at < run.moment - timedelta(days=KEPT_DELIVERY_DAYS)
    if last_beyond is not None:
        is_old |= WebhookDeliveryRow.id <= last_beyond
    for page in run.iterate_pages(select(WebhookDeliveryRow.id).where(has_ended, is_old), WebhookDeliveryRow.id):
        is_in_page = WebhookDeliveryRow.id.in_([delivery.id for delivery in page])
        with run.writing(webhook.team_id) as session:
            execute_and_count(session, delete(WebhookDeliveryRow).where(is_in_page, has_ended))
