"""Writing the audit trail, and finding events in it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from modelyard.server.audit.tables import AuditEventRow
from modelyard.server.database.session import insert_row


@dataclass(frozen=True)
class Actor:
    """Who acted: ``kind`` is user, integration, device, agent or system; ``id`` is the user's or the key's."""

    kind: str
    id: UUID | None
    name: str


# What the registry does by itself or its operator does on the command line.
SYSTEM = Actor("system", None, "Registry")


@dataclass(frozen=True)
class EventFilter:
    """Which events are asked for; ``since`` is included, ``until`` is not."""

    action: str | None = None
    object_id: str | None = None
    actor_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def record(
    session: Session, actor: Actor, team_id: UUID, action: str, object_id: UUID | str | None, **facts: Any
) -> None:
    """Write down, with this transaction, that ``actor`` did ``action`` (``model.registered``) to an object.

    ``facts`` must be JSON: plain strings, numbers, lists; never a secret.
    """
    _write(session, actor, team_id=team_id, action=action, object_id=object_id, facts=facts)


def record_noticed(
    session: Session, team_id: UUID, action: str, object_id: UUID | str | None, moment: datetime, **facts: Any
) -> None:
    """The same of what the registry noticed by itself at a moment of the database's clock, which may be another."""
    _write(session, SYSTEM, team_id=team_id, action=action, object_id=object_id, facts=facts, created_at=moment)


def _write(session: Session, actor: Actor, *, object_id: UUID | str | None, **event: Any) -> None:
    insert_row(
        session,
        AuditEventRow,
        object_id=None if object_id is None else str(object_id),
        actor_kind=actor.kind,
        actor_id=None if actor.id is None else str(actor.id),
        actor_name=actor.name,
        **event,
    )


def events_of(team_id: UUID, asked: EventFilter) -> Select[AuditEventRow]:
    """The team's events that fit the filter, in no order: whoever pages them orders them by id."""
    found = select(AuditEventRow).where(AuditEventRow.team_id == team_id)
    if asked.action is not None:
        found = found.where(AuditEventRow.action == asked.action)
    if asked.object_id is not None:
        found = found.where(AuditEventRow.object_id == asked.object_id)
    if asked.actor_id is not None:
        found = found.where(AuditEventRow.actor_id == asked.actor_id)
    if asked.since is not None:
        found = found.where(AuditEventRow.created_at >= asked.since)
    if asked.until is not None:
        found = found.where(AuditEventRow.created_at < asked.until)
    return found
