"""Invitations."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, new_id, now

OPEN = text("ended_at IS NULL")


class InvitationRow(Row):
    """A permission to join. ``ended_at`` is set when it was accepted, withdrawn, or found to be too old."""

    __tablename__ = "invitations"
    __table_args__ = (
        Index(
            "uq_invitations_team_id_email_key",
            "team_id",
            "email_key",
            unique=True,
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        ),
        Index("ix_invitations_team_id_id", "team_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    email_address: Mapped[str]
    email_key: Mapped[str]
    role: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    accepted_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
