"""Tokens that teams send to sources, encrypted."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "source_tokens",
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("encrypted_token", sa.String(), nullable=False),
        sa.Column("creator_kind", sa.String(), nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(), nullable=False),
        sa.Column("set_at", base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_source_tokens_team_id")),
        sa.PrimaryKeyConstraint("team_id", "host", name=op.f("pk_source_tokens")),
    )
