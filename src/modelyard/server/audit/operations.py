"""Operations on the audit trail: recording events and selecting them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from modelyard.server.audit.tables import AuditEventRow, UnpublishedEventRow
from modelyard.server.database.base import new_id
from modelyard.server.database.session import insert_rows
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
    _insert_events(session, actor, {object_id: facts}, team_id=team_id, action=action)


def record_each(
    session: Session, actor: Actor, team_id: UUID, action: str, facts: Mapping[UUID, Mapping[str, Any]]
) -> None:
    """Record, as ``record``, that ``actor`` did the same to several objects, with the facts about each: all at once."""
    _insert_events(session, actor, facts, team_id=team_id, action=action)


def record_system_event(
    session: Session, team_id: UUID, action: str, object_id: UUID | str | None, moment: datetime, **facts: Any
) -> None:
    """Record an event of the registry itself with a given time, which is the database's and may differ from ours."""
    _insert_events(session, SYSTEM, {object_id: facts}, team_id=team_id, action=action, created_at=moment)


def _insert_events(
    session: Session, actor: Actor, facts: Mapping[Any, Mapping[str, Any]], *, team_id: UUID, **event: Any
) -> None:
    """Insert an event for each object with facts, and into the outbox if webhooks may get it; ids become text."""
    event |= {
        "team_id": team_id,
        "actor_kind": actor.kind,
        "actor_id": None if actor.id is None else str(actor.id),
        "actor_name": actor.name,
    }
    rows = [
        event | {"id": new_id(), "object_id": None if object_id is None else str(object_id), "facts": each}
        for object_id, each in facts.items()
    ]
    insert_rows(session, AuditEventRow, rows)
    if event["action"] in EVENT_TYPES:
        insert_rows(session, UnpublishedEventRow, [{"event_id": row["id"], "team_id": team_id} for row in rows])


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
