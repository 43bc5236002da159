"""When models were used: by each machine, and last of all."""

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LIVING = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "model_uses",
        sa.Column("agent_number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("last_used_at", base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_number"], ["agents.number"], name=op.f("fk_model_uses_agent_number"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_model_uses_model_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("agent_number", "model_id", name=op.f("pk_model_uses")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_model_uses_model_id", "model_uses", ["model_id"])
    op.add_column("agents", sa.Column("use_counted_since", base.UtcTime(timezone=True), nullable=True))
    op.add_column("models", sa.Column("last_used_second", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index(
        "ix_models_team_id_last_used",
        "models",
        ["team_id", "last_used_second", "id"],
        sqlite_where=LIVING,
        postgresql_where=LIVING,
    )
