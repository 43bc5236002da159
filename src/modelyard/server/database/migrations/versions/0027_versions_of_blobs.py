"""The index of versions by blob has what a lookup by hash needs, so that it reads no row of a version."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_model_versions_blob_id", "model_versions")
    op.create_index("ix_model_versions_blob_id", "model_versions", ["blob_id", "deleted_at", "model_id", "number"])
