"""Disk budgets of machines, and how many models each has evicted."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("disk_budget_bytes", sa.BigInteger(), nullable=True))
    op.add_column("agents", sa.Column("models_evicted", sa.BigInteger(), server_default="0", nullable=False))
