"""When the search for a picture in a version's file may be tried again."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("preview_retry_at", base.UtcTime(timezone=True), nullable=True))
