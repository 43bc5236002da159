"""When an upload was aborted: from then on it is not counted as unfinished."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("aborted_at", base.UtcTime(timezone=True), nullable=True))
