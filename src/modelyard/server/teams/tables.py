"""Tables of teams, members and invitations."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import Row, new_id, now
from modelyard.wire.teams import DEFAULT_KEPT_VERSION_DAYS, DEFAULT_KEPT_VERSIONS

OWNER = text("role = 'owner'")
OPEN = text("ended_at IS NULL")


class TeamRow(Row):
    """A team. A deleted team keeps its rows until its trash time is over, so that the operator can restore it."""

    __tablename__ = "teams"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    display_name: Mapped[str]
    pickle_policy: Mapped[str] = mapped_column(default="block")
    quota_bytes: Mapped[int | None]
    # When the team reached 80 % of its quota; None below.
    quota_warned_at: Mapped[datetime | None]
    kept_versions: Mapped[int] = mapped_column(default=DEFAULT_KEPT_VERSIONS, server_default=str(DEFAULT_KEPT_VERSIONS))
    kept_version_days: Mapped[int] = mapped_column(
        default=DEFAULT_KEPT_VERSION_DAYS, server_default=str(DEFAULT_KEPT_VERSION_DAYS)
    )
    machines_may_request: Mapped[bool] = mapped_column(default=True, server_default=true())
    hub_may_import: Mapped[bool] = mapped_column(default=False, server_default=false())
    # ``wire.agent_requests.loaders.LoaderInput`` in JSON; None for an empty list.
    loader_list: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None] = mapped_column(index=True)


class MemberRow(Row):
    """A user's membership in a team. Every team has exactly one owner."""

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


class InvitationRow(Row):
    """An invitation to join a team. ``ended_at`` is set when it was accepted, withdrawn, or found to be expired.

    ``invited_by`` is the user who made it; None in rows that ended before this was stored.
    """

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
    invited_by: Mapped[UUID | None]
    token_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    accepted_by: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
