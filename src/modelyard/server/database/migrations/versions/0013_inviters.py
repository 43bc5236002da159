"""Who made an invitation: it ends when that user may no longer invite."""

import logging
from uuid import UUID

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INVITATIONS = sa.table(
    "invitations",
    sa.column("id", sa.Uuid()),
    sa.column("team_id", sa.Uuid()),
    sa.column("invited_by", sa.Uuid()),
    sa.column("expires_at", base.UtcTime(timezone=True)),
    sa.column("ended_at", base.UtcTime(timezone=True)),
)
EVENTS = sa.table(
    "audit_events",
    *(sa.column(name) for name in ("action", "object_id", "actor_kind", "actor_id")),
    sa.column("team_id", sa.Uuid()),
)
MEMBERS = sa.table("members", sa.column("team_id", sa.Uuid()), sa.column("user_id", sa.Uuid()), sa.column("role"))
log = logging.getLogger("modelyard.database")


def upgrade() -> None:
    op.add_column("invitations", sa.Column("invited_by", sa.Uuid(), nullable=True))
    moment = base.now()
    is_open = sa.and_(INVITATIONS.c.ended_at.is_(None), INVITATIONS.c.expires_at > moment)
    database = op.get_bind()
    for invitation in database.execute(sa.select(INVITATIONS.c.id, INVITATIONS.c.team_id).where(is_open)).all():
        inviter = _find_inviter(database, invitation.team_id, str(invitation.id))
        named = INVITATIONS.update().where(INVITATIONS.c.id == invitation.id)
        database.execute(named.values(invited_by=inviter))
    withdrawn = database.execute(
        INVITATIONS.update().where(is_open, INVITATIONS.c.invited_by.is_(None)).values(ended_at=moment)
    ).rowcount
    if withdrawn:
        log.warning(
            "Open invitations were withdrawn with this version, since no signed-in admin or owner of their team is "
            "known to have made them. Invite these people again.",
            extra={"invitations": withdrawn},
        )


def _find_inviter(database: sa.Connection, team_id: object, invitation_id: str) -> object:
    """Return the id of the user who made an invitation, by the audit trail, if they may still invite."""
    made_by = database.execute(
        sa.select(EVENTS.c.actor_id).where(
            EVENTS.c.team_id == team_id,
            EVENTS.c.object_id == invitation_id,
            EVENTS.c.action == "invitation.created",
            # Not a device: one of these may have invited an admin, which no device may do from this version on.
            EVENTS.c.actor_kind == "user",
        )
    ).scalar_one_or_none()
    if made_by is None:
        return None
    return database.execute(
        sa.select(MEMBERS.c.user_id).where(
            MEMBERS.c.team_id == team_id,
            MEMBERS.c.user_id == UUID(made_by),
            MEMBERS.c.role.in_(("admin", "owner")),
        )
    ).scalar_one_or_none()
