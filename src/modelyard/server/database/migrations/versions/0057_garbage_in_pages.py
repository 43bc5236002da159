"""Indexes by which garbage collection works team by team, and reads pages without sorting what is left."""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None

SEVERAL_VERSIONS = sa.text("version_count > 1")
CHANGED = (
    ("ix_blobs_unused_since", "blobs", ["unused_since", "id"]),
    ("ix_previews_unused_since", "previews", ["unused_since", "id"]),
    ("ix_discarded_since", "discarded", ["since", "store_key", "multipart_id"]),
    (
        "ix_collection_entries_model_id",
        "collection_entries",
        ["model_id", "collection_id", "number", "model_version"],
    ),
)


def upgrade() -> None:
    for name, table, columns in CHANGED:
        op.drop_index(name, table)
        op.create_index(name, table, columns)
    op.drop_index("ix_models_several_versions", "models")
    op.create_index(
        "ix_models_several_versions",
        "models",
        ["team_id", "version_count", "id"],
        sqlite_where=SEVERAL_VERSIONS,
        postgresql_where=SEVERAL_VERSIONS,
    )
    op.create_index(
        "ix_collections_pinned",
        "collections",
        ["team_id"],
        sqlite_where=sa.text("is_pinned = 1"),
        postgresql_where=sa.text("is_pinned"),
    )
