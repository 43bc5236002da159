"""Tables of a team's machines, and of the replica state of each model on each machine."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import SORTED_TEXT, Row, now

# SQLite generates row numbers only for a primary key whose type is exactly INTEGER.
NUMBER = BigInteger().with_variant(Integer(), "sqlite")


class AgentRow(Row):
    """A machine of a team. Rows of its replica states refer to it by ``number``, which is shorter than its id.

    ``label_set`` combines both kinds of labels, see ``labels.build_label_set``. ``orders`` counts the changes that the
    machine must be informed of.
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
    models_unloaded: Mapped[int] = mapped_column(default=0, server_default="0")
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
    """The replica state that a machine last reported for a model that it should hold.

    Only the module ``states`` writes these rows, so that ``ModelRow.agents_ready`` and ``AgentRow.models_ready`` agree
    with them. There are rows only for models that are active, were verified once, and whose labels the machine has.
    """

    __tablename__ = "agent_models"
    __table_args__ = (
        Index("ix_agent_models_model_id_state", "model_id", "state"),
        # Without row ids SQLite stores the rows in the primary key itself: half the space, for machines x models rows.
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
