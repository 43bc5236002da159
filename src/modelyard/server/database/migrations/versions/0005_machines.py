"""Machines, what they hold, and what of a model decides which machine should hold it."""

import json

import sqlalchemy as sa
from alembic import op

from modelyard.server.database import base

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WANTED = sa.text("deleted_at IS NULL AND model_status = 'active' AND verified_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("number", NUMBER, autoincrement=True, nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", base.SORTED_TEXT, nullable=False),
        sa.Column("credential_id", sa.Uuid(), nullable=False),
        sa.Column("own_labels", sa.JSON(), nullable=False),
        sa.Column("central_labels", sa.JSON(), nullable=False),
        sa.Column("label_set", sa.String(), nullable=False),
        sa.Column("agent_status", sa.String(), nullable=False),
        sa.Column("agent_version", sa.String(), nullable=False),
        sa.Column("comfyui_version", sa.String(), nullable=True),
        sa.Column("platform_arch", sa.String(), nullable=False),
        sa.Column("sync_phase", sa.String(), nullable=False),
        sa.Column("sync_detail", sa.String(), nullable=True),
        sa.Column("sync_percent", sa.BigInteger(), nullable=True),
        sa.Column("disk_free", sa.BigInteger(), nullable=True),
        sa.Column("disk_budget", sa.BigInteger(), nullable=True),
        sa.Column("bytes_held", sa.BigInteger(), nullable=False),
        sa.Column("waiting_for", sa.String(), nullable=True),
        sa.Column("removal_waiting", sa.BigInteger(), nullable=False),
        sa.Column("removal_token", sa.String(), nullable=True),
        sa.Column("approved_removal", sa.String(), nullable=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("sync_asked", sa.Boolean(), nullable=False),
        sa.Column("orders", sa.BigInteger(), nullable=False),
        sa.Column("report_series", sa.String(), nullable=False),
        sa.Column("report_number", sa.BigInteger(), nullable=False),
        sa.Column("models_ready", sa.BigInteger(), nullable=False),
        sa.Column("connected_at", base.UtcTime(timezone=True), nullable=False),
        sa.Column("last_heartbeat", base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_agents_team_id")),
        sa.ForeignKeyConstraint(["credential_id"], ["credentials.id"], name=op.f("fk_agents_credential_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_agents")),
        sa.UniqueConstraint("team_id", "agent_id", name=op.f("uq_agents_team_id_agent_id")),
    )
    op.create_index("ix_agents_team_id_label_set", "agents", ["team_id", "label_set"])
    op.create_index(op.f("ix_agents_credential_id"), "agents", ["credential_id"])
    _make_states()
    _describe_models()


def _make_states() -> None:
    op.create_table(
        "agent_models",
        sa.Column("agent_number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("reported_at", base.UtcTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_number"], ["agents.number"], name=op.f("fk_agent_models_agent_number"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_agent_models_model_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("agent_number", "model_id", name=op.f("pk_agent_models")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_agent_models_model_id_state", "agent_models", ["model_id", "state"])


def _describe_models() -> None:
    # Not as a batch, which would make the table anew, and lose the triggers of the search.
    op.add_column("models", sa.Column("label_set", sa.String(), server_default=sa.text("''"), nullable=False))
    op.add_column("models", sa.Column("agents_ready", sa.BigInteger(), server_default="0", nullable=False))
    models = sa.table(
        "models", sa.column("id", sa.Uuid()), sa.column("required_labels", sa.JSON()), sa.column("label_set")
    )
    connection = op.get_bind()
    labelled = connection.execute(
        sa.select(models.c.id, models.c.required_labels).where(sa.cast(models.c.required_labels, sa.String()) != "[]")
    )
    for model_id, labels in labelled.all():
        names = json.loads(labels) if isinstance(labels, str) else labels
        connection.execute(
            models.update().where(models.c.id == model_id).values(label_set=" ".join(sorted(set(names))))
        )
    op.create_index(
        "ix_models_wanted",
        "models",
        ["team_id", "label_set", "verification", "agents_ready"],
        sqlite_where=WANTED,
        postgresql_where=WANTED,
    )
