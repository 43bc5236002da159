"""Models that are assigned to machines, whatever their labels are."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ASSIGNED = sa.text("deleted_at IS NULL AND model_status = 'active' AND verified_at IS NOT NULL AND agents_assigned > 0")


def upgrade() -> None:
    op.create_table(
        "assignments",
        sa.Column("agent_number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_number"], ["agents.number"], name=op.f("fk_assignments_agent_number"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_assignments_model_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("agent_number", "model_id", name=op.f("pk_assignments")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_assignments_model_id", "assignments", ["model_id", "agent_number"])
    op.create_index("ix_assignments_team_id", "assignments", ["team_id", "agent_number", "model_id"])
    op.add_column("models", sa.Column("agents_assigned", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index(
        "ix_models_assigned",
        "models",
        ["team_id", "label_set", "verification", "agents_assigned", "agents_ready"],
        sqlite_where=ASSIGNED,
        postgresql_where=ASSIGNED,
    )
