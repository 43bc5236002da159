"""Teams have a setting: whether the Hugging Face endpoint imports what the team does not have."""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    allowed: sa.Column[bool] = sa.Column("hub_may_import", sa.Boolean(), server_default=sa.false(), nullable=False)
    op.add_column("teams", allowed)
