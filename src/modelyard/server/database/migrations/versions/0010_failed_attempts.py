"""Failed attempts to sign in, counted for all servers."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "failed_attempts",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", base.UtcTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_failed_attempts")),
    )
    op.create_index(op.f("ix_failed_attempts_expires_at"), "failed_attempts", ["expires_at"])
