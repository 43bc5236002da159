"""Tables of a team's machines, of the models assigned to them, and of the replica state of each model on each."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, UniqueConstraint, Uuid, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import SORTED_TEXT, Row, now
from modelyard.server.models.replicas.labels import build_label_set

# The condition of an index: blocked, conflict, downloading, evicted and failed. A range, since SQLite's planner prefers
# the primary key to an index whose condition is a list.
PROBLEMS = text("state < 'g'")
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
        Index(
            "ix_agents_subscriptions_due",
            *("team_id", "number"),
            sqlite_where=text("subscriptions_due = 1"),
            postgresql_where=text("subscriptions_due"),
        ),
    )

    number: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    agent_id: Mapped[str] = mapped_column(SORTED_TEXT)
    credential_id: Mapped[UUID] = mapped_column(ForeignKey("credentials.id"), index=True)
    own_labels: Mapped[list[str]] = mapped_column(default=list)
    central_labels: Mapped[list[str]] = mapped_column(default=list)
    # Whether own labels count for collections too; not if the machine's key is a viewer's.
    trusts_own_labels: Mapped[bool] = mapped_column(default=True, server_default=true())
    label_set: Mapped[str] = mapped_column(default="")
    # A digest of the pins of its assignments; equal for machines with equal pins, empty without any.
    pin_set: Mapped[str] = mapped_column(default="", server_default=text("''"))
    # Its assignments do not follow the last change of collections yet; they are as before it.
    subscriptions_due: Mapped[bool] = mapped_column(default=False, server_default=false())
    agent_status: Mapped[str]
    agent_version: Mapped[str]
    agent_build: Mapped[str | None]
    comfyui_version: Mapped[str | None]
    platform_arch: Mapped[str]
    sync_phase: Mapped[str]
    sync_detail: Mapped[str | None]
    sync_percent: Mapped[int | None]
    disk_free: Mapped[int | None]
    disk_budget: Mapped[int | None]
    # Set by the team; ``disk_budget`` is what the machine reports.
    disk_budget_bytes: Mapped[int | None]
    bytes_held: Mapped[int]
    models_evicted: Mapped[int] = mapped_column(default=0, server_default="0")
    models_unloaded: Mapped[int] = mapped_column(default=0, server_default="0")
    waiting_for: Mapped[str | None]
    problem: Mapped[str | None]
    sync_bytes_done: Mapped[int | None]
    sync_bytes_total: Mapped[int | None]
    sync_seconds_left: Mapped[int | None]
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
    # Since when it has counted which models its ComfyUI uses; null if it does not.
    use_counted_since: Mapped[datetime | None]
    # When the agent reported that it is being stopped; null while it runs, and after a crash.
    stopped_at: Mapped[datetime | None]
    # See ``processes``. The process that sent the last heartbeat; those before it, newest first; and since when such
    # ones have sent heartbeats again, and when one did last.
    process: Mapped[str | None]
    replaced_processes: Mapped[list[str] | None]
    returns_since: Mapped[datetime | None]
    returned_at: Mapped[datetime | None]

    @property
    def collection_label_set(self) -> str:
        """The labels that count for subscriptions and canaries of collections, as one string."""
        return self.label_set if self.trusts_own_labels else build_label_set(self.central_labels)


class AssignmentRow(Row):
    """A model that is assigned to a machine: it should hold the model whatever its labels are.

    ``is_direct``: a person or a program assigned it. ``is_subscribed``: the machine is subscribed to a collection that
    has it. At least one of both is set. ``pinned_version``: the version that the machine should hold instead of the
    current one. ``pin_conflict``: collections pin different versions of it, which are named; then no version is pinned.
    """

    __tablename__ = "assignments"
    __table_args__ = (
        Index("ix_assignments_model_id", "model_id", "agent_number"),
        Index("ix_assignments_team_id", "team_id", "agent_number", "model_id"),
        {"sqlite_with_rowid": False},
    )

    agent_number: Mapped[int] = mapped_column(
        NUMBER, ForeignKey("agents.number", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    model_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    team_id: Mapped[UUID]
    is_direct: Mapped[bool] = mapped_column(default=True, server_default=true())
    is_subscribed: Mapped[bool] = mapped_column(default=False, server_default=false())
    pinned_version: Mapped[int | None]
    pin_conflict: Mapped[str | None]


class AgentModelRow(Row):
    """The replica state that a machine last reported for a model that it should hold.

    Only the module ``states`` writes these rows, so that ``agents_ready`` and ``agents_unloaded`` of ``ModelRow`` and
    ``AgentRow.models_ready`` agree with them. There are rows only for desired models (``desired.is_desired_on``).
    """

    __tablename__ = "agent_models"
    __table_args__ = (
        Index("ix_agent_models_model_id_state", "model_id", "state"),
        Index("ix_agent_models_problems", "agent_number", "state", sqlite_where=PROBLEMS, postgresql_where=PROBLEMS),
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


class ModelUseRow(Row):
    """When a machine's ComfyUI used a model last. Stays if the machine no longer holds the model.

    Only the module ``uses`` writes these rows, so that ``ModelRow.last_used_at`` is the last of them.
    """

    __tablename__ = "model_uses"
    __table_args__ = (Index("ix_model_uses_model_id", "model_id"), {"sqlite_with_rowid": False})

    agent_number: Mapped[int] = mapped_column(
        NUMBER, ForeignKey("agents.number", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    model_id: Mapped[UUID] = mapped_column(Uuid(), ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    last_used_at: Mapped[datetime]
