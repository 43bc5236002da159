"""Versions have a mark of whether their model is in the trash, so that a lookup by hash reads no such version."""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "model_versions", sa.Column("is_model_deleted", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.execute(
        "UPDATE model_versions SET is_model_deleted = true "
        "WHERE model_id IN (SELECT id FROM models WHERE deleted_at IS NOT NULL)"
    )
    op.drop_index("ix_model_versions_blob_id", "model_versions")
    op.create_index(
        "ix_model_versions_blob_id",
        "model_versions",
        ["blob_id", "deleted_at", "is_model_deleted", "model_id", "number"],
    )
