"""The table of audit events."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, new_id, now


class UnpublishedEventRow(Row):
    """An audit event of which no webhook has got a delivery yet: the outbox of webhooks.

    Ids of events order by the clocks of several processes, so a position in their order could pass over one.
    """

    __tablename__ = "unpublished_audit_events"

    event_id: Mapped[UUID] = mapped_column(ForeignKey("audit_events.id"), primary_key=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))


class AuditEventRow(Row):
    """An audit event. Ids grow with time, so ordering by id orders by time."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_team_id_id", "team_id", "id"),
        Index("ix_audit_events_team_id_created_at", "team_id", "created_at", "id"),
        Index("ix_audit_events_team_id_object_id", "team_id", "object_id", "id"),
        Index("ix_audit_events_team_id_action", "team_id", "action", "id"),
        Index("ix_audit_events_team_id_actor_id", "team_id", "actor_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    action: Mapped[str]
    object_id: Mapped[str | None]
    actor_kind: Mapped[str]
    actor_id: Mapped[str | None]
    actor_name: Mapped[str]
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
