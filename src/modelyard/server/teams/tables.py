"""Teams and who belongs to them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, new_id, now

OWNER = text("role = 'owner'")


class TeamRow(Row):
    """A team. A deleted one keeps its rows for a while, so that the operator can bring it back."""

    __tablename__ = "teams"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    display_name: Mapped[str]
    pickle_policy: Mapped[str] = mapped_column(default="block")
    quota_bytes: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None] = mapped_column(index=True)


class MemberRow(Row):
    """A user in a team. Every living team has exactly one owner."""

    __tablename__ = "members"
    __table_args__ = (
        Index("uq_members_team_id_owner", "team_id", unique=True, sqlite_where=OWNER, postgresql_where=OWNER),
        Index("ix_members_user_id", "user_id"),
        Index("ix_members_team_id_joined_at", "team_id", "joined_at", "user_id"),
    )

    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str]
    joined_at: Mapped[datetime] = mapped_column(default=now)
