"""Imports that a read has started leave the record of an existing model as it is."""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    keeps: sa.Column[bool] = sa.Column("keeps_record", sa.Boolean(), server_default=sa.false(), nullable=False)
    op.add_column("imports", keeps)
