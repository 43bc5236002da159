"""Teams have a setting: inputs of nodes that name models."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("teams", sa.Column("loader_list", sa.JSON(), nullable=True))
