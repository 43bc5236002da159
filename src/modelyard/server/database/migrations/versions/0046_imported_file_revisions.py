"""An index by which the Hugging Face endpoint finds a file at a repository revision."""

from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_imported_files_team_id_repository_key", "imported_files")
    columns = ["team_id", "repository_key", "repository_revision", "path"]
    op.create_index("ix_imported_files_revision", "imported_files", columns)
