"""Collections: named, versioned lists of models."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "collections",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("latest_version", sa.BigInteger(), nullable=False),
        sa.Column("creator_kind", sa.String(), nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(), nullable=False),
        sa.Column("created_at", base.UtcTime(timezone=True), nullable=False),
        sa.Column("updated_at", base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_collections_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collections")),
        sa.UniqueConstraint("team_id", "name_key", name=op.f("uq_collections_team_id_name_key")),
    )
    op.create_table(
        "collection_versions",
        sa.Column("collection_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("model_count", sa.BigInteger(), nullable=False),
        sa.Column("creator_kind", sa.String(), nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(), nullable=False),
        sa.Column("created_at", base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
            name=op.f("fk_collection_versions_collection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("collection_id", "number", name=op.f("pk_collection_versions")),
    )
    op.create_table(
        "collection_entries",
        sa.Column("collection_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("model_version", sa.BigInteger(), nullable=False),
        sa.Column("model_path", sa.String(), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("file_hash", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
            name=op.f("fk_collection_entries_collection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("collection_id", "number", "position", name=op.f("pk_collection_entries")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_collection_entries_model_id", "collection_entries", ["model_id", "collection_id", "number"])
