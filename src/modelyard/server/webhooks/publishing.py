"""Making deliveries of audit events: in one transaction with their removal from the outbox, so that none is lost."""

import logging
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.audit.tables import AuditEventRow, UnpublishedEventRow
from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database, announce, get_table
from modelyard.server.webhooks.payloads import build_event_body
from modelyard.server.webhooks.tables import PENDING, WebhookDeliveryRow, WebhookRow
from modelyard.wire.problems import Unavailable
from modelyard.wire.webhooks import MAX_WAITING_DELIVERIES

# Announced within this process when a delivery is due.
DELIVERY_DUE = "webhook-delivery-due"
MAX_EVENTS = 500
_deliveries = get_table(WebhookDeliveryRow)
log = logging.getLogger("modelyard.webhooks")


def publish_events(database: Database) -> bool:
    """Make deliveries of the waiting events of all teams, as many as one call should; return whether there are more.

    See ``publish_team_events``. A team whose transaction cannot be opened is logged, and left for the next run.
    """
    with database.reading() as session:
        teams = session.scalars(select(UnpublishedEventRow.team_id).distinct()).all()
    is_more = False
    for team_id in teams:
        try:
            with database.writing(team_id) as session:
                is_more = publish_team_events(session, team_id) or is_more
        except Unavailable as problem:
            log.warning("could not publish events", extra={"team": str(team_id), "why": problem.detail})
    return is_more


def publish_team_events(session: Session, team_id: UUID) -> bool:
    """Make deliveries of the oldest waiting events of a team, for each enabled webhook that gets them.

    Returns whether there may be more events. They are removed from the outbox, also those that no webhook gets: the
    audit log keeps them. The caller holds the team's write lock.
    """
    unpublished = (
        select(AuditEventRow)
        .join(UnpublishedEventRow, UnpublishedEventRow.event_id == AuditEventRow.id)
        .where(UnpublishedEventRow.team_id == team_id)
        .order_by(AuditEventRow.id)
        .limit(MAX_EVENTS)
    )
    events = session.scalars(unpublished).all()
    if not events:
        return False
    enabled = select(WebhookRow).where(WebhookRow.team_id == team_id, WebhookRow.is_enabled)
    for webhook in session.scalars(enabled).all():
        _insert_deliveries(session, webhook, events)
    published = UnpublishedEventRow.event_id.in_([event.id for event in events])
    session.execute(delete(UnpublishedEventRow).where(published).execution_options(synchronize_session=False))
    return len(events) == MAX_EVENTS


def publish_waiting_events(database: Database, team_id: UUID) -> None:
    """Make deliveries of all events of a team, each part in its own transaction.

    Call it before a change of the team's webhooks, which concerns later events only; the transaction of the change
    calls ``publish_team_events`` for those that came since.
    """
    is_more = True
    while is_more:
        with database.writing(team_id) as session:
            is_more = publish_team_events(session, team_id)


def _insert_deliveries(session: Session, webhook: WebhookRow, events: Sequence[AuditEventRow]) -> None:
    """Insert a delivery of each event that a webhook gets, in their order, while it has room for waiting ones.

    Events without room get no delivery: the audit log keeps them, and says how many they were.
    """
    wanted = [event for event in events if event.action in webhook.event_list]
    room = _count_room(session, webhook) if wanted else 0
    moment = get_database_time(session)
    rows = [
        {
            "id": new_id(),
            "team_id": event.team_id,
            "webhook_id": webhook.id,
            "event_id": event.id,
            "event_type": event.action,
            "body": build_event_body(event),
            "next_attempt_at": moment,
            "created_at": moment,
        }
        for event in wanted[:room]
    ]
    if rows:
        session.connection().execute(insert(_deliveries), rows)
        announce(session, DELIVERY_DUE)
    if len(wanted) > room:
        _record_dropped(session, webhook, wanted[room:])


def _count_room(session: Session, webhook: WebhookRow) -> int:
    """Return how many more deliveries may wait for a webhook."""
    waiting = select(func.count()).where(WebhookDeliveryRow.webhook_id == webhook.id, PENDING)
    return max(MAX_WAITING_DELIVERIES - (session.scalar(waiting) or 0), 0)


def _record_dropped(session: Session, webhook: WebhookRow, events: Sequence[AuditEventRow]) -> None:
    """Record that events get no delivery: at the webhook, and in the audit log."""
    count, limit = len(events), MAX_WAITING_DELIVERIES
    webhook.last_error = f"{count:,} events were dropped, since {limit:,} deliveries wait. See the audit log."
    facts = {
        "display_name": webhook.display_name,
        "count": count,
        "waiting": limit,
        "first_event_id": str(events[0].id),
    }
    audit.record(session, audit.SYSTEM, webhook.team_id, "webhook.events_dropped", webhook.id, **facts)
