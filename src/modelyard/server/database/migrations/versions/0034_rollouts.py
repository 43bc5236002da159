"""Roll-outs of versions of collections; which version of each collection subscribed machines get."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("collections", sa.Column("rolled_out_version", sa.BigInteger(), server_default="1", nullable=False))
    op.add_column("collections", sa.Column("rollout_version", sa.BigInteger(), nullable=True))
    op.add_column("collections", sa.Column("rollout_label", sa.String(), nullable=True))
    op.add_column("collections", sa.Column("is_held", sa.Boolean(), server_default=sa.false(), nullable=False))
    # So far, subscribed machines got the newest version.
    op.execute("UPDATE collections SET rolled_out_version = latest_version")
    op.create_table(
        "collection_rollouts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("collection_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("previous_version", sa.BigInteger(), nullable=False),
        sa.Column("canary_label", sa.String(), nullable=True),
        sa.Column("is_automatic", sa.Boolean(), nullable=False),
        sa.Column("min_ready_seconds", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("canaries_ready_at", base.UtcTime(timezone=True), nullable=True),
        sa.Column("creator_kind", sa.String(), nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(), nullable=False),
        sa.Column("created_at", base.UtcTime(timezone=True), nullable=False),
        sa.Column("updated_at", base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_collection_rollouts_team_id")),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
            name=op.f("fk_collection_rollouts_collection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collection_rollouts")),
    )
    op.create_index("ix_collection_rollouts_collection_id", "collection_rollouts", ["collection_id", "id"])
    op.create_index("ix_collection_rollouts_state", "collection_rollouts", ["state"])
