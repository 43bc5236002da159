"""Hashes of blobs by which models are found: AutoV1, AutoV3 and CRC-32, and an index for each hash."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

UNHASHED = sa.text("verification = 'verified' AND crc32 IS NULL")


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # Without a rewrite of the table: only the index by SHA-256 is built again.
        for name in ("sha256", "blake3"):
            op.alter_column("blobs", name, type_=base.SORTED_TEXT)
    for name in ("autov1", "autov3", "crc32"):
        op.add_column("blobs", sa.Column(name, base.SORTED_TEXT, nullable=True))
    op.add_column("blobs", sa.Column("hash_retry_at", base.UtcTime(timezone=True), nullable=True))
    for name in ("blake3", "autov1", "autov3", "crc32"):
        op.create_index(f"ix_blobs_team_id_{name}", "blobs", ["team_id", name])
    op.create_index("ix_blobs_unhashed", "blobs", ["created_at"], sqlite_where=UNHASHED, postgresql_where=UNHASHED)
