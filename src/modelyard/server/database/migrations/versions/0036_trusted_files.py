"""Pickle files that admins have allowed by their hash."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trusted_files",
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", base.SORTED_TEXT, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("creator_kind", sa.String(), nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(), nullable=False),
        sa.Column("created_at", base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_trusted_files_team_id")),
        sa.PrimaryKeyConstraint("team_id", "sha256", name=op.f("pk_trusted_files")),
    )
