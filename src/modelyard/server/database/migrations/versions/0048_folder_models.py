"""Models of many files: their sizes, and the files of each version."""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("models", "model_versions"):
        op.add_column(table, sa.Column("total_size", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("file_count", sa.BigInteger(), nullable=True))
    in_folder: sa.Column[bool] = sa.Column("is_in_folder", sa.Boolean(), server_default=sa.false(), nullable=False)
    op.add_column("uploads", in_folder)
    op.create_table(
        "folder_files",
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("blob_id", sa.Uuid(), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("file_hash", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id", "number"],
            ["model_versions.model_id", "model_versions.number"],
            name=op.f("fk_folder_files_model_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_folder_files_team_id")),
        sa.ForeignKeyConstraint(["blob_id"], ["blobs.id"], name=op.f("fk_folder_files_blob_id")),
        sa.PrimaryKeyConstraint("model_id", "number", "position", name=op.f("pk_folder_files")),
    )
    op.create_index("ix_folder_files_blob_id", "folder_files", ["blob_id"])
    op.create_index("ix_folder_files_team_id_file_hash", "folder_files", ["team_id", "file_hash"])
