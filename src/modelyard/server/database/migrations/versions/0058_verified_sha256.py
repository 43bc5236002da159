"""An index of verified content by SHA-256: without it, lookups would read all uploads that only declare one."""

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

WAS_VERIFIED = sa.text("verified_at IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_blobs_verified_sha256",
        "blobs",
        ["team_id", "sha256"],
        sqlite_where=WAS_VERIFIED,
        postgresql_where=WAS_VERIFIED,
    )
