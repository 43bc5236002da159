"""What was replaced stays on machines until its successor is verified."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WANTED = sa.text(
    "(deleted_at IS NULL OR stands_in_for IS NOT NULL) AND model_status = 'active' AND verified_at IS NOT NULL"
)
STANDING_IN = sa.text("stands_in_for IS NOT NULL")


def upgrade() -> None:
    # Not as a batch, which would make the table anew, and lose the triggers of the search.
    op.add_column("models", sa.Column("stands_in_for", sa.Uuid(), nullable=True))
    op.drop_index("ix_models_wanted", "models")
    op.create_index(
        "ix_models_wanted",
        "models",
        ["team_id", "label_set", "verification", "agents_ready"],
        sqlite_where=WANTED,
        postgresql_where=WANTED,
    )
    op.create_index(
        "uq_models_team_id_path_key_standing_in",
        "models",
        ["team_id", "path_key"],
        unique=True,
        sqlite_where=STANDING_IN,
        postgresql_where=STANDING_IN,
    )
    op.create_index(
        "ix_models_stands_in_for",
        "models",
        ["stands_in_for"],
        sqlite_where=STANDING_IN,
        postgresql_where=STANDING_IN,
    )
