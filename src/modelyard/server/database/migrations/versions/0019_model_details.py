"""What models are: base model and trigger words, a person's values for them, and an index by base model."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

LIVING = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    for column in (
        sa.Column("base_model_override", sa.String(), nullable=True),
        sa.Column("trigger_words_override", sa.JSON(), nullable=True),
        sa.Column("base_model", base.SORTED_TEXT, nullable=True),
        sa.Column("base_source", sa.String(), nullable=True),
        sa.Column("trigger_words", sa.JSON(), nullable=True),
    ):
        op.add_column("models", column)
    op.create_index(
        "ix_models_team_id_base_model",
        "models",
        ["team_id", "base_model", "created_at", "id", "deleted_at"],
        sqlite_where=LIVING,
        postgresql_where=LIVING,
    )
