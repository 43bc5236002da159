"""Tables of collections, their versions, the models of each version, subscriptions of machines, and roll-outs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, Uuid, false, text
from sqlalchemy.orm import Mapped, mapped_column

from modelyard.server.database.base import SORTED_TEXT, Row, new_id, now
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.tables import NUMBER


class CollectionRow(Row):
    """A collection of a team. ``name_key`` is equal for names that differ in case only; lists are sorted by it."""

    __tablename__ = "collections"
    __table_args__ = (
        UniqueConstraint("team_id", "name_key"),
        Index(
            "ix_collections_pinned", "team_id", sqlite_where=text("is_pinned = 1"), postgresql_where=text("is_pinned")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(SORTED_TEXT)
    note: Mapped[str | None]
    latest_version: Mapped[int] = mapped_column(default=1)
    # The version that subscribed machines get, apart from those of a roll-out that has not finished.
    rolled_out_version: Mapped[int] = mapped_column(default=1, server_default="1")
    # The version of that roll-out, which machines with the label get; without a label, all of them.
    rollout_version: Mapped[int | None]
    rollout_label: Mapped[str | None]
    # Subscribed machines hold the versions that their version of the collection lists, and these are not purged.
    is_pinned: Mapped[bool] = mapped_column(default=False, server_default=false())
    # New versions reach subscribed machines by a roll-out.
    is_held: Mapped[bool] = mapped_column(default=False, server_default=false())
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def is_fully_rolled_out(self) -> bool:
        """Whether all subscribed machines get the newest version, and no roll-out is left unfinished."""
        return self.rolled_out_version == self.latest_version and self.rollout_version is None

    def get_version_for(self, label_set: str) -> int:
        """Return the version that a subscribed machine gets whose ``collection_label_set`` is this."""
        if self.rollout_version is not None and has_all_labels(self.rollout_label or "", label_set):
            return self.rollout_version
        return self.rolled_out_version


class CollectionVersionRow(Row):
    """A version of a collection, which never changes."""

    __tablename__ = "collection_versions"

    collection_id: Mapped[UUID] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    note: Mapped[str | None]
    model_count: Mapped[int]
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class CollectionEntryRow(Row):
    """A model of one version of a collection, at one of the model's versions.

    It has no foreign key to the model: what a version contained stays known after the model is purged, by the copies of
    its path, size and hash.
    """

    __tablename__ = "collection_entries"
    __table_args__ = (
        Index("ix_collection_entries_model_id", "model_id", "collection_id", "number", "model_version"),
        {"sqlite_with_rowid": False},
    )

    collection_id: Mapped[UUID] = mapped_column(
        Uuid(), ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model_id: Mapped[UUID] = mapped_column(Uuid())
    model_version: Mapped[int]
    model_path: Mapped[str]
    file_size: Mapped[int]
    file_hash: Mapped[str]


class SubscriptionRow(Row):
    """A subscription of all machines with a label, or of one machine, to a collection.

    Exactly one of ``label`` and ``agent_number`` is set. The models that machines get by it are in ``assignments``, see
    ``machine_updates``.
    """

    __tablename__ = "collection_subscriptions"
    __table_args__ = (
        UniqueConstraint("collection_id", "label"),
        UniqueConstraint("collection_id", "agent_number"),
        Index("ix_collection_subscriptions_team_id_label", "team_id", "label"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    collection_id: Mapped[UUID] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    label: Mapped[str | None]
    agent_number: Mapped[int | None] = mapped_column(
        NUMBER, ForeignKey("agents.number", ondelete="CASCADE"), index=True
    )
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)


class RolloutRow(Row):
    """A roll-out of a version of a collection: first to subscribed machines with a label, then to all.

    ``state`` and ``obstacle`` are as in the API; ``reason`` is why it failed. ``canaries_ready_at``: since when all
    canaries are ready; null if not.
    """

    __tablename__ = "collection_rollouts"
    __table_args__ = (
        Index("ix_collection_rollouts_collection_id", "collection_id", "id"),
        Index("ix_collection_rollouts_state", "state"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    collection_id: Mapped[UUID] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    version: Mapped[int]
    previous_version: Mapped[int]
    canary_label: Mapped[str | None]
    is_automatic: Mapped[bool]
    min_ready_seconds: Mapped[int]
    state: Mapped[str]
    reason: Mapped[str | None]
    obstacle: Mapped[str | None]
    canaries_ready_at: Mapped[datetime | None]
    creator_kind: Mapped[str]
    creator_id: Mapped[UUID | None]
    creator_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
