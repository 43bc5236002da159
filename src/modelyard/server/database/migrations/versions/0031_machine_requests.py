"""Teams have a setting: whether machines may assign models to themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    allowed: sa.Column[bool] = sa.Column("machines_may_request", sa.Boolean(), server_default=sa.true(), nullable=False)
    op.add_column("teams", allowed)
