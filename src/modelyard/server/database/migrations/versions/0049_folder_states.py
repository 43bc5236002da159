"""Indexes for the state of a folder: the failed blobs of a team, and the versions that have a blob for a file."""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

_FAILED = sa.text("verification = 'failed'")


def upgrade() -> None:
    op.create_index("ix_blobs_failed", "blobs", ["team_id"], sqlite_where=_FAILED, postgresql_where=_FAILED)
    op.drop_index("ix_folder_files_blob_id", table_name="folder_files")
    op.create_index("ix_folder_files_blob_id", "folder_files", ["blob_id", "model_id", "number"])
