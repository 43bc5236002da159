"""Subscriptions of machines and labels to collections, which may be pinned; assignments that come from them."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "collection_subscriptions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("collection_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.String(), nullable=True),
        sa.Column("agent_number", NUMBER, nullable=True),
        sa.Column("creator_kind", sa.String(), nullable=False),
        sa.Column("creator_id", sa.Uuid(), nullable=True),
        sa.Column("creator_name", sa.String(), nullable=False),
        sa.Column("created_at", base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_collection_subscriptions_team_id")),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
            name=op.f("fk_collection_subscriptions_collection_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["agent_number"],
            ["agents.number"],
            name=op.f("fk_collection_subscriptions_agent_number"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collection_subscriptions")),
        sa.UniqueConstraint("collection_id", "label", name=op.f("uq_collection_subscriptions_collection_id_label")),
        sa.UniqueConstraint(
            "collection_id", "agent_number", name=op.f("uq_collection_subscriptions_collection_id_agent_number")
        ),
    )
    op.create_index("ix_collection_subscriptions_team_id_label", "collection_subscriptions", ["team_id", "label"])
    op.create_index("ix_collection_subscriptions_agent_number", "collection_subscriptions", ["agent_number"])
    op.add_column("assignments", sa.Column("is_direct", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("assignments", sa.Column("is_subscribed", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("assignments", sa.Column("pinned_version", sa.BigInteger(), nullable=True))
    op.add_column("assignments", sa.Column("pin_conflict", sa.String(), nullable=True))
    op.add_column("agents", sa.Column("pin_set", sa.String(), server_default="", nullable=False))
    op.add_column("collections", sa.Column("is_pinned", sa.Boolean(), server_default=sa.false(), nullable=False))
