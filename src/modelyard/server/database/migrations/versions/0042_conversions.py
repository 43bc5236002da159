"""Models that were converted from pickle files of others."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("derived_from", sa.JSON(), nullable=True))
    op.add_column("imports", sa.Column("derived_from", sa.JSON(), nullable=True))
