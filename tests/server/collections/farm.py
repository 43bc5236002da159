"""A team with many machines, and a collection of many models, for changes that take several transactions."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.orm import Session

from modelyard.server.collections.due_machines import ROWS_PER_TRANSACTION, writing_changes
from modelyard.server.collections.operations import create_collection, update_collection
from modelyard.server.collections.subscriptions import subscribe, unsubscribe
from modelyard.server.collections.versions import add_version
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow, AssignmentRow
from modelyard.server.models.tables import ModelRow
from modelyard.wire.collections import CollectionUpdate, NewCollection, NewCollectionVersion, NewSubscription
from modelyard.wire.problems import Unavailable
from tests.server.agents.machine import set_last_heartbeat_ago
from tests.server.collections.test_rollout_queries import build_context
from tests.server.harness import Harness
from tests.server.models.model_factory import BEGAN, ModelSpec, TeamModels
from tests.server.watched_database import WatchedDatabase

MODELS = 1_000
# Of machines that have none of the models.
MACHINES_AT_ONCE = ROWS_PER_TRANSACTION // MODELS
MACHINES = 2 * MACHINES_AT_ONCE + 1
UNLABELLED = {"label_set": "none", "required_labels": ["none"], "verified_at": BEGAN}
_is_of_model = AgentModelRow.model_id == ModelRow.id, AgentModelRow.state == "ready"
_COUNTS = (
    (ModelRow.agents_ready, ModelRow, _is_of_model),
    (ModelRow.agents_unloaded, ModelRow, (*_is_of_model, AgentModelRow.reason.is_not(None))),
    (AgentRow.models_ready, AgentRow, (AgentModelRow.agent_number == AgentRow.number, AgentModelRow.state == "ready")),
)


def do_nothing() -> None:
    pass


def raise_interrupted() -> None:
    raise InterruptedError


def raise_unavailable() -> None:
    raise Unavailable("busy")


def _build_state(of: tuple[int, UUID], state: str, reason: str | None) -> dict[str, Any]:
    """Return the row of a state that a machine, by its number, reported of a model."""
    number, model_id = of
    reported = {"state": state, "reason": reason, "bytes_done": 0, "reported_at": BEGAN}
    return {"agent_number": number, "model_id": model_id} | reported


class Farm:
    """A team with machines with the label gpu24, models that no label gives them, and a collection of the models.

    Operations are called in this thread, and ``after_writing`` after each of their transactions.
    """

    def __init__(self, registry: Harness) -> None:
        self.registry, self.caller = registry, registry.create_team()
        self.database, self.team_id = registry.resources.database, UUID(self.caller.team_id)
        models = TeamModels(self.database, self.team_id)
        self.team = build_context(self.caller)
        models.insert_machines(MACHINES, "gpu24")
        self.model_ids = models.insert(ModelSpec(f"ink {number}", columns=UNLABELLED) for number in range(MODELS))
        new = NewCollection(name="Winter", model_list=[{"model_id": each} for each in self.model_ids])
        self.collection_id = create_collection(self.database, self.team, new)

    def _writing_changes(self, after_writing: Callable[[], None]) -> AbstractContextManager[Session]:
        """Write a change; call the function after each of its transactions."""
        database = WatchedDatabase(self.database, after_writing=after_writing)
        return writing_changes(database.as_database(), self.team_id)

    def subscribe(self, after_writing: Callable[[], None], label: str = "gpu24") -> UUID:
        with self._writing_changes(after_writing) as session:
            return subscribe(session, self.team, self.collection_id, NewSubscription(label=label)).id

    def unsubscribe(self, subscription_id: UUID, after_writing: Callable[[], None]) -> None:
        with self._writing_changes(after_writing) as session:
            unsubscribe(session, self.team, self.collection_id, subscription_id)

    def pin(self, after_writing: Callable[[], None]) -> None:
        with self._writing_changes(after_writing) as session:
            update_collection(session, self.team, self.collection_id, CollectionUpdate(is_pinned=True))

    def add_version(self, *model_ids: UUID) -> None:
        new = NewCollectionVersion(model_list=[{"model_id": each} for each in model_ids])
        add_version(self.database, self.team, self.collection_id, new)

    def subscribe_and_break_off(self) -> None:
        """Subscribe the machines, in a process that ends after the first transaction."""
        with pytest.raises(InterruptedError):
            self.subscribe(raise_interrupted)
        assert self.count_models() == [MODELS] * MACHINES_AT_ONCE

    def subscribe_and_refuse_second_transaction(self) -> None:
        """Subscribe the machines; the database refuses what the second transaction has written."""
        database = WatchedDatabase(self.database)
        database.before_commit = [do_nothing, raise_unavailable]
        with writing_changes(database.as_database(), self.team_id) as session:
            subscribe(session, self.team, self.collection_id, NewSubscription(label="gpu24"))

    @contextmanager
    def breaking_updates_of(self, agent_id: str) -> Iterator[None]:
        """Let the database refuse more than one assignment of a machine in the block."""
        with self.database.writing(self.team_id) as session:
            of_machine = AgentRow.team_id == self.team_id, AgentRow.agent_id == agent_id
            number = session.scalars(select(AgentRow.number).where(*of_machine)).one()
            condition = f"agent_number = {number}"
            session.execute(text(f"CREATE UNIQUE INDEX ix_broken ON assignments (agent_number) WHERE {condition}"))
        try:
            yield
        finally:
            with self.database.writing(self.team_id) as session:
                session.execute(text("DROP INDEX ix_broken"))

    def list_subscriptions(self) -> list[str]:
        """Return the labels that are subscribed to the collection."""
        listed = self.caller.get(f"/collections/{self.collection_id}/subscriptions").json()["subscription_list"]
        return [each["label"] for each in listed]

    def start_empty_version_with_a_canary(self) -> UUID:
        """Roll out a version without models, which a canary has as soon as it gets it; return the roll-out's id."""
        path = f"/collections/{self.collection_id}"
        assert self.caller.put(path, is_held=True).status_code == 200
        self.add_version()
        labelled = self.caller.put(f"/agents/{self.list_machines()[0]}", agent_labels=["gpu24", "canary"])
        assert labelled.status_code == 200, labelled.text
        set_last_heartbeat_ago(self.registry, self.caller, 0)
        started = self.caller.post(f"{path}/rollouts", version=2, canary_label="canary", is_automatic=True)
        assert started.status_code == 201, started.text
        return UUID(started.json()["id"])

    def count_models(self, *, are_pinned: bool = False) -> list[int]:
        """Return how many models, or pinned ones, are assigned to each machine that has any, in no order."""
        counted = select(func.count()).where(AssignmentRow.team_id == self.team_id)
        counted = counted.where(AssignmentRow.pinned_version.is_not(None)) if are_pinned else counted
        with self.database.reading() as session:
            return [*session.scalars(counted.group_by(AssignmentRow.agent_number))]

    def insert_states(self) -> None:
        """Insert a state of each model on each machine, in all kinds that counts know, with these counts."""
        kinds = ("ready", None), ("ready", "ComfyUI does not list it."), ("failed", "The disk is full.")
        with self.database.writing(self.team_id) as session:
            numbers = session.scalars(select(AgentRow.number).where(AgentRow.team_id == self.team_id)).all()
            pairs = [(number, model_id) for number in numbers for model_id in self.model_ids]
            rows = [_build_state(pair, *kinds[index % 7 % 3]) for index, pair in enumerate(pairs)]
            session.connection().execute(insert(AgentModelRow), rows)
            for count, owner, states in _COUNTS:
                counted = select(func.count()).where(*states).scalar_subquery()
                session.execute(update(owner).where(owner.team_id == self.team_id).values({count: counted}))

    def list_machines(self, *, are_due: bool = False) -> list[str]:
        """Return the ids of the machines, or of those that are due, in the order of their numbers."""
        listed = select(AgentRow.agent_id).where(AgentRow.team_id == self.team_id).order_by(AgentRow.number)
        listed = listed.where(AgentRow.subscriptions_due) if are_due else listed
        with self.database.reading() as session:
            return [*session.scalars(listed)]

    def count_due(self) -> int:
        return len(self.list_machines(are_due=True))

    def list_agents_assigned(self) -> set[int]:
        """Return the counts of machines that the models of the collection have."""
        counts = select(ModelRow.agents_assigned).where(ModelRow.team_id == self.team_id).distinct()
        with self.database.reading() as session:
            return set(session.scalars(counts))
