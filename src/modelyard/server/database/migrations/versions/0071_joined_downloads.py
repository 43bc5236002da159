"""Whether only the ETag of a source says that the ranges of an import are of one content; unknown ones count as not."""

import sqlalchemy as sa
from alembic import op

revision = "0071"
down_revision = "0070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("imports", sa.Column("relies_on_etag", sa.Boolean(), nullable=False, server_default=sa.false()))
