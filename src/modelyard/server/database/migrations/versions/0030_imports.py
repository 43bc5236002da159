"""Imports of models from Hugging Face, Civitai and https addresses."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

WAITING = sa.text("import_state IN ('queued', 'running')")


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("import_state", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("storage_key", sa.String(), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("file_hash", sa.String(), nullable=True),
        sa.Column("etag", sa.String(), nullable=True),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("creator_kind", sa.String(), nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(), nullable=False),
        sa.Column("credential_id", sa.Uuid(), nullable=True),
        sa.Column("lease", sa.Uuid(), nullable=True),
        sa.Column("leased_until", base.UtcTime(timezone=True), nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("created_at", base.UtcTime(timezone=True), nullable=False),
        sa.Column("finished_at", base.UtcTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_imports_team_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_index("ix_imports_team_id_id", "imports", ["team_id", "id"])
    op.create_index("ix_imports_finished_at", "imports", ["finished_at"])
    op.create_index(
        "ix_imports_waiting",
        "imports",
        ["team_id", "tries", "id"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
