"""Checks of all models count the requests that a source does not answer by its host."""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("source_check_runs", sa.Column("host_failures", sa.JSON(), nullable=True))
