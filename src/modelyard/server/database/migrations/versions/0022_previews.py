"""Preview pictures of versions."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

HAS_PREVIEW = sa.text("preview_sha256 IS NOT NULL")
UNPREVIEWED = sa.text("verification = 'verified' AND preview_source IS NULL")


def upgrade() -> None:
    time = base.UtcTime(timezone=True)
    op.create_table(
        "previews",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("color", sa.String(), nullable=False),
        sa.Column("store_key", sa.String(), nullable=False),
        sa.Column("small_size", sa.BigInteger(), nullable=False),
        sa.Column("large_size", sa.BigInteger(), nullable=False),
        sa.Column("png_key", sa.String(), nullable=True),
        sa.Column("png_size", sa.BigInteger(), nullable=True),
        sa.Column("is_stock", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("unused_since", time, nullable=True),
        sa.Column("created_at", time, nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_previews_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_previews")),
        sa.UniqueConstraint("sha256", "team_id", name="uq_previews_sha256_team_id"),
        sa.UniqueConstraint("store_key", name=op.f("uq_previews_store_key")),
        sa.UniqueConstraint("png_key", name=op.f("uq_previews_png_key")),
    )
    op.create_index("ix_previews_team_id", "previews", ["team_id"])
    op.create_index("ix_previews_unused_since", "previews", ["unused_since"])
    for table in ("models", "model_versions"):
        op.add_column(table, sa.Column("preview_sha256", sa.String(), nullable=True))
        op.add_column(table, sa.Column("preview_color", sa.String(), nullable=True))
    op.add_column("model_versions", sa.Column("preview_source", sa.String(), nullable=True))
    op.create_index(
        "ix_model_versions_team_id_preview",
        "model_versions",
        ["team_id", "preview_sha256"],
        sqlite_where=HAS_PREVIEW,
        postgresql_where=HAS_PREVIEW,
    )
    op.create_index(
        "ix_model_versions_unpreviewed",
        "model_versions",
        ["created_at"],
        sqlite_where=UNPREVIEWED,
        postgresql_where=UNPREVIEWED,
    )
