"""What tells machines of one name apart: names that pairings announce, and the processes that send heartbeats."""

import sqlalchemy as sa
from alembic import op

revision = "0067"
down_revision = "0066"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pairings", sa.Column("agent_id", sa.String(), nullable=True))
    op.add_column("agents", sa.Column("process", sa.String(), nullable=True))
    op.add_column("agents", sa.Column("replaced_processes", sa.JSON(), nullable=True))
    op.add_column("agents", sa.Column("returns_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("agents", sa.Column("returned_at", sa.DateTime(timezone=True), nullable=True))
