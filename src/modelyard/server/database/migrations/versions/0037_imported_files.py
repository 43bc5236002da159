"""Which models have the content of which files of repositories at Hugging Face."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imported_files",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("repository_key", sa.String(), nullable=False),
        sa.Column("repository_revision", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("file_hash", sa.String(), nullable=False),
        sa.Column("imported_at", base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_imported_files_model_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_imported_files_team_id")),
        sa.PrimaryKeyConstraint(
            "model_id", "repository_key", "repository_revision", "path", name=op.f("pk_imported_files")
        ),
    )
    op.create_index(
        "ix_imported_files_team_id_repository_key", "imported_files", ["team_id", "repository_key", "imported_at"]
    )
