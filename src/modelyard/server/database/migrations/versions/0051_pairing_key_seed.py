"""The seed of a pairing's keys, from which a device whose answer was lost gets the same keys again."""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pairings", sa.Column("key_seed", sa.String(), nullable=True))
