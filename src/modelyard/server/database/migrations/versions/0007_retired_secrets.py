"""Secrets that a rotation replaced; and keys whose maker is no admin any more, which stop with this version."""

import logging

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STOPPED_KEYS = sa.text(
    "SELECT count(*) FROM credentials WHERE kind <> 'device' AND paired_with IS NULL AND revoked_at IS NULL"
    " AND (expires_at IS NULL OR expires_at > CURRENT_TIMESTAMP) AND NOT EXISTS (SELECT 1 FROM members"
    " WHERE members.team_id = credentials.team_id AND members.user_id = credentials.user_id"
    " AND members.role IN ('admin', 'owner'))"
)
log = logging.getLogger("modelyard.database")


def upgrade() -> None:
    op.create_table(
        "retired_secrets",
        sa.Column("key_hash", sa.String(), nullable=False),
        sa.Column("credential_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_id"],
            ["credentials.id"],
            name=op.f("fk_retired_secrets_credential_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_retired_secrets")),
    )
    op.create_index(op.f("ix_retired_secrets_credential_id"), "retired_secrets", ["credential_id"])
    op.create_index(op.f("ix_retired_secrets_expires_at"), "retired_secrets", ["expires_at"])
    stopped = op.get_bind().execute(STOPPED_KEYS).scalar_one()
    if stopped:
        log.warning(
            "Keys stop working with this version, since their makers are no admins any more. An admin of the team "
            "finds them as 'stopped' in the list of keys, and brings them back by rotating them.",
            extra={"keys": stopped},
        )
