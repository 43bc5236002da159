"""Which object was verified, and which is to be read again since it has changed."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

RECHECK = sa.text("recheck_since IS NOT NULL")


def upgrade() -> None:
    op.add_column("blobs", sa.Column("stored_version", sa.String(), nullable=True))
    op.add_column("blobs", sa.Column("recheck_since", base.UtcTime(timezone=True), nullable=True))
    op.create_index(
        "ix_blobs_recheck_since", "blobs", ["recheck_since"], sqlite_where=RECHECK, postgresql_where=RECHECK
    )
