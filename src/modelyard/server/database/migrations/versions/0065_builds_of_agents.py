"""Builds of agents: versions do not tell apart what is built between two releases."""

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("agent_build", sa.String(), nullable=True))
