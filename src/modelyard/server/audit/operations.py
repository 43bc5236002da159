"""Operations on the audit trail: recording events and selecting them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from modelyard.server.audit.tables import AuditEventRow, UnpublishedEventRow
from modelyard.server.database.base import new_id
from modelyard.server.database.session import insert_row
from modelyard.wire.webhooks import EVENT_TYPES


@dataclass(frozen=True)
class Actor:
    """The actor of an event: ``kind`` is user, integration, device, agent or system; ``id`` is of the user or key."""

    kind: str
    id: UUID | None
    name: str


# The actor of what the registry does by itself and of the operator's commands.
SYSTEM = Actor("system", None, "Registry")


@dataclass(frozen=True)
class EventFilter:
    """Conditions on events; None is no condition. ``since`` is inclusive, ``until`` is exclusive."""

    action: str | None = None
    object_id: str | None = None
    actor_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def record(
    session: Session, actor: Actor, team_id: UUID, action: str, object_id: UUID | str | None, **facts: Any
) -> None:
    """Record in this transaction that ``actor`` did ``action`` (such as ``model.registered``) to an object.

    ``facts`` must be serialisable as JSON and must not contain secrets.
    """
    _insert_event(session, actor, team_id=team_id, action=action, object_id=object_id, facts=facts)


def record_system_event(
    session: Session, team_id: UUID, action: str, object_id: UUID | str | None, moment: datetime, **facts: Any
) -> None:
    """Record an event of the registry itself with a given time, which is the database's and may differ from ours."""
    _insert_event(session, SYSTEM, team_id=team_id, action=action, object_id=object_id, facts=facts, created_at=moment)


def _insert_event(session: Session, actor: Actor, *, object_id: UUID | str | None, **event: Any) -> None:
    """Insert an event with its actor, and into the outbox if webhooks may get it; ids are stored as text."""
    event_id = new_id()
    insert_row(
        session,
        AuditEventRow,
        id=event_id,
        object_id=None if object_id is None else str(object_id),
        actor_kind=actor.kind,
        actor_id=None if actor.id is None else str(actor.id),
        actor_name=actor.name,
        **event,
    )
    if event["action"] in EVENT_TYPES:
        insert_row(session, UnpublishedEventRow, event_id=event_id, team_id=event["team_id"])


def select_events(team_id: UUID, event_filter: EventFilter) -> Select[AuditEventRow]:
    """Return a query for the team's events that match the filter. It is unordered: paging orders it by id."""
    query = select(AuditEventRow).where(AuditEventRow.team_id == team_id)
    if event_filter.action is not None:
        query = query.where(AuditEventRow.action == event_filter.action)
    if event_filter.object_id is not None:
        query = query.where(AuditEventRow.object_id == event_filter.object_id)
    if event_filter.actor_id is not None:
        query = query.where(AuditEventRow.actor_id == event_filter.actor_id)
    if event_filter.since is not None:
        query = query.where(AuditEventRow.created_at >= event_filter.since)
    if event_filter.until is not None:
        query = query.where(AuditEventRow.created_at < event_filter.until)
    return query
