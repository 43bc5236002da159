"""What sidecars declare of versions, and which release of the inspection has read each blob."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

VERIFIED = sa.text("verification = 'verified'")


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("sidecar", sa.JSON(), nullable=True))
    # 0: everything that is stored is inspected again.
    op.add_column("blobs", sa.Column("inspected_as", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("blobs", sa.Column("inspect_retry_at", base.UtcTime(timezone=True), nullable=True))
    columns = ["inspected_as", "created_at"]
    op.create_index("ix_blobs_inspected_as", "blobs", columns, sqlite_where=VERIFIED, postgresql_where=VERIFIED)
