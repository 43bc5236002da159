"""What the source of a model has that is newer."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("newer_at_source", sa.JSON(), nullable=True))
