"""Models are sorted by the size that is shown: of a folder, that of all its files."""

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None


def upgrade() -> None:
    is_living = sa.text("deleted_at IS NULL")
    op.create_index(
        "ix_models_team_id_content_size",
        "models",
        ["team_id", sa.text("coalesce(total_size, file_size)"), "id"],
        sqlite_where=is_living,
        postgresql_where=is_living,
    )
    op.drop_index("ix_models_team_id_file_size", "models")
