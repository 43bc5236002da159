"""Files that wait for verification are found by team: each team gets its share of the workers."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PENDING = sa.text("verification = 'pending'")


def upgrade() -> None:
    op.drop_index("ix_blobs_pending", "blobs")
    op.create_index(
        "ix_blobs_pending",
        "blobs",
        ["team_id", "tries", "created_at"],
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )
