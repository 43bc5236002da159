"""Machines whose assignments do not follow the last change of collections yet."""

import sqlalchemy as sa
from alembic import op

revision = "0066"
down_revision = "0065"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("subscriptions_due", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_agents_subscriptions_due",
        "agents",
        ["team_id", "number"],
        sqlite_where=sa.text("subscriptions_due = 1"),
        postgresql_where=sa.text("subscriptions_due"),
    )
