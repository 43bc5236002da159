"""Models on a machine that its ComfyUI does not load."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("models_unloaded", sa.BigInteger(), server_default="0", nullable=False))
