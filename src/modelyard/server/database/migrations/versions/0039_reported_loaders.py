"""Loader nodes that machines report of their ComfyUIs."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "reported_loaders",
        sa.Column("agent_number", number, autoincrement=False, nullable=False),
        sa.Column("node_type", sa.String(), nullable=False),
        sa.Column("input", sa.String(), nullable=False),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_number"],
            ["agents.number"],
            name=op.f("fk_reported_loaders_agent_number"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("agent_number", "node_type", "input", name=op.f("pk_reported_loaders")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reported_loaders_team_id", "reported_loaders", ["team_id", "node_type"])
