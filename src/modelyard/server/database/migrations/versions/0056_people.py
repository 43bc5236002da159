"""The person that an upload, the verification of its content, and an import are charged to."""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

PENDING = sa.text("verification = 'pending'")


def upgrade() -> None:
    for table in ("uploads", "blobs", "imports"):
        op.add_column(table, sa.Column("person_id", sa.Uuid(), nullable=True))
    op.drop_index("ix_blobs_pending", "blobs")
    op.create_index(
        "ix_blobs_pending",
        "blobs",
        ["team_id", "person_id", "tries", "created_at"],
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )
