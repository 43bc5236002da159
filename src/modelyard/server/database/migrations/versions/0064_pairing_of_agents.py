"""Pairings of agents, which get a machine's key without a device's: a key says by itself that it came by pairing."""

import sqlalchemy as sa
from alembic import op

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pairings", sa.Column("is_for_agent", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("credentials", sa.Column("is_paired", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE credentials SET is_paired = true WHERE kind = 'device' OR paired_with IS NOT NULL")
