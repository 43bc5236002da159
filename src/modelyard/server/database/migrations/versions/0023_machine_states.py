"""What people need to know of a machine: whether it was stopped, its problem, its progress; and its failing models."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

PROBLEMS = sa.text("state < 'g'")


def upgrade() -> None:
    op.add_column("agents", sa.Column("stopped_at", base.UtcTime(timezone=True), nullable=True))
    op.add_column("agents", sa.Column("problem", sa.String(), nullable=True))
    for name in ("sync_bytes_done", "sync_bytes_total", "sync_seconds_left"):
        op.add_column("agents", sa.Column(name, sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_agent_models_problems",
        "agent_models",
        ["agent_number", "state"],
        sqlite_where=PROBLEMS,
        postgresql_where=PROBLEMS,
    )
