"""The team's machines, and what each of them has said of each model."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import SORTED_TEXT, Row, now

# SQLite numbers rows by itself only if the column is called just so.
NUMBER = BigInteger().with_variant(Integer(), "sqlite")


class AgentRow(Row):
    """A machine. Its number stands in every row of what it holds, where a name would be long.

    ``label_set`` is what both kinds of labels make together, see ``labels.label_set``. ``orders`` counts what was
    changed here that the machine has to hear of.
    """

    __tablename__ = "agents"
    __table_args__ = (
        UniqueConstraint("team_id", "agent_id"),
        Index("ix_agents_team_id_label_set", "team_id", "label_set"),
    )

    number: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    agent_id: Mapped[str] = mapped_column(SORTED_TEXT)
    credential_id: Mapped[UUID] = mapped_column(ForeignKey("credentials.id"), index=True)
    own_labels: Mapped[list[str]] = mapped_column(default=list)
    central_labels: Mapped[list[str]] = mapped_column(default=list)
    label_set: Mapped[str] = mapped_column(default="")
    agent_status: Mapped[str]
    agent_version: Mapped[str]
    comfyui_version: Mapped[str | None]
    platform_arch: Mapped[str]
    sync_phase: Mapped[str]
    sync_detail: Mapped[str | None]
    sync_percent: Mapped[int | None]
    disk_free: Mapped[int | None]
    disk_budget: Mapped[int | None]
    bytes_held: Mapped[int]
    waiting_for: Mapped[str | None]
    removal_waiting: Mapped[int]
    removal_token: Mapped[str | None]
    approved_removal: Mapped[str | None]
    paused: Mapped[bool] = mapped_column(default=False)
    sync_asked: Mapped[bool] = mapped_column(default=False)
    orders: Mapped[int] = mapped_column(default=0)
    report_series: Mapped[str] = mapped_column(default="")
    report_number: Mapped[int] = mapped_column(default=0)
    models_ready: Mapped[int] = mapped_column(default=0)
    connected_at: Mapped[datetime] = mapped_column(default=now)
    last_heartbeat: Mapped[datetime]


class AgentModelRow(Row):
    """What a machine last said of a model that it should have.

    Only ``states`` writes these, so that ``ModelRow.agents_ready`` and ``AgentRow.models_ready`` agree with them. There
    are rows only for models that are active, were verified once, and whose labels the machine has.
    """

    __tablename__ = "agent_models"
    __table_args__ = (
        Index("ix_agent_models_model_id_state", "model_id", "state"),
        # The rows are in the key itself: as many as machines times models, they take half the room so.
        {"sqlite_with_rowid": False},
    )

    agent_number: Mapped[int] = mapped_column(
        NUMBER, ForeignKey("agents.number", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    model_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    state: Mapped[str]
    reason: Mapped[str | None]
    bytes_done: Mapped[int]
    reported_at: Mapped[datetime]
