"""Checks of all models of a team for newer versions at their sources."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "source_check_runs",
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("check_state", sa.String(), nullable=False),
        sa.Column("model_count", sa.BigInteger(), nullable=False),
        sa.Column("checked_count", sa.BigInteger(), nullable=False),
        sa.Column("newer_count", sa.BigInteger(), nullable=False),
        sa.Column("failure_count", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.JSON(), nullable=False),
        sa.Column("last_model_id", sa.Uuid(), nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("due_at", base.UtcTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("creator_kind", sa.String(), nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(), nullable=False),
        sa.Column("credential_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", base.UtcTime(timezone=True), nullable=False),
        sa.Column("asked_at", base.UtcTime(timezone=True), nullable=False),
        sa.Column("finished_at", base.UtcTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_source_check_runs_team_id")),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_source_check_runs")),
    )
