"""Whether the labels that a machine gives itself count for collections; the next heartbeat of each machine decides."""

import sqlalchemy as sa
from alembic import op

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agents", sa.Column("trusts_own_labels", sa.Boolean(), nullable=False, server_default=sa.true()))
