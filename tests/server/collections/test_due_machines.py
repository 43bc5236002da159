"""Changes of collections for many machines: in transactions of some rows, between which others write."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from modelyard.server.collections.deletion import delete_collection
from modelyard.server.collections.due_machines import (
    ROWS_PER_TRANSACTION,
    writing_changes,
)
from modelyard.server.collections.operations import create_collection, update_collection
from modelyard.server.collections.rollouts.advancing import advance_rollout
from modelyard.server.collections.subscriptions import subscribe, unsubscribe
from modelyard.server.collections.versions import add_version
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.identity.state import Identity
from modelyard.server.models.replicas.tables import AgentRow, AssignmentRow
from modelyard.server.models.tables import ModelRow
from modelyard.server.resources import open_resources
from modelyard.server.scheduler.jobs import build_jobs
from modelyard.wire.collections import CollectionUpdate, NewCollection, NewCollectionVersion, NewSubscription
from modelyard.wire.problems import Unavailable
from tests.server.agents.machine import set_last_heartbeat_ago
from tests.server.collections.test_rollout_queries import build_context
from tests.server.conftest import CHEAP
from tests.server.environments import Environments
from tests.server.harness import Harness
from tests.server.models.model_factory import BEGAN, ModelSpec, TeamModels
from tests.server.watched_database import WatchedDatabase

MODELS = 1_000
# Of machines that have none of the models.
MACHINES_AT_ONCE = ROWS_PER_TRANSACTION // MODELS
MACHINES = 2 * MACHINES_AT_ONCE + 1
UNLABELLED = {"label_set": "none", "required_labels": ["none"], "verified_at": BEGAN}


@pytest.fixture(scope="module")
def registry_without_jobs(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A registry that has no job for due machines."""
    with (
        environments.create_settings(tmp_path_factory.mktemp("without_jobs")) as settings,
        open_resources(settings, Identity(CHEAP)) as resources,
        Harness.without_jobs(resources) as registry,
    ):
        yield registry


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
        with self.database.writing(self.team_id) as session:
            new = NewCollection(name="Winter", model_list=[{"model_id": each} for each in self.model_ids])
            self.collection_id = create_collection(session, self.team, new)

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
        with writing_changes(self.database, self.team_id) as session:
            add_version(session, self.team, self.collection_id, new)

    def subscribe_and_break_off(self) -> None:
        """Subscribe the machines, in a process that ends after the first transaction."""
        with pytest.raises(InterruptedError):
            self.subscribe(_raise_interrupted)
        assert self.count_models() == [MODELS] * MACHINES_AT_ONCE

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


@pytest.fixture
def farm(registry_without_jobs: Harness) -> Farm:
    return Farm(registry_without_jobs)


def _do_nothing() -> None:
    pass


def _raise_interrupted() -> None:
    raise InterruptedError


def test_each_transaction_updates_as_many_whole_machines_as_20000_assignments_are_of(farm: Farm) -> None:
    steps = list[list[int]]()
    subscription = farm.subscribe(lambda: steps.append(farm.count_models()))
    assert steps == [[MODELS] * count for count in (MACHINES_AT_ONCE, 2 * MACHINES_AT_ONCE, MACHINES)]
    assert (farm.count_due(), farm.list_agents_assigned()) == (0, {MACHINES})
    steps.clear()
    farm.pin(lambda: steps.append(farm.count_models(are_pinned=True)))
    assert steps == [[MODELS] * count for count in (MACHINES_AT_ONCE, 2 * MACHINES_AT_ONCE, MACHINES)]
    steps.clear()
    farm.unsubscribe(subscription, lambda: steps.append(farm.count_models()))
    assert steps == [[MODELS] * (MACHINES - count) for count in (MACHINES_AT_ONCE, 2 * MACHINES_AT_ONCE, MACHINES)]
    assert (farm.count_due(), farm.list_agents_assigned()) == (0, {0})


def test_transaction_is_small_if_its_first_machine_has_the_models_and_others_do_not(farm: Farm) -> None:
    first = farm.list_machines()[0]
    path = f"/collections/{farm.collection_id}/subscriptions"
    assert farm.caller.post(path, agent_id=first).status_code == 201
    steps = list[list[int]]()
    farm.subscribe(lambda: steps.append(farm.count_models()))
    assert steps == [[MODELS] * count for count in (MACHINES_AT_ONCE, 2 * MACHINES_AT_ONCE, MACHINES)]


def test_another_team_writes_between_two_transactions(farm: Farm, registry_without_jobs: Harness) -> None:
    other = registry_without_jobs.create_team("Elsewhere")
    due = list[int]()

    def write() -> None:
        assert other.post("/collections", name=f"Winter {len(due)}", model_list=[]).status_code == 201
        due.append(farm.count_due())

    farm.subscribe(write)
    assert due == [MACHINES_AT_ONCE + 1, 1, 0]


def test_change_of_few_rows_is_one_transaction(farm: Farm) -> None:
    farm.add_version(*farm.model_ids[:10])
    steps = list[list[int]]()
    farm.subscribe(lambda: steps.append(farm.count_models()))
    assert steps == [[10] * MACHINES]


def test_job_updates_machines_that_a_process_left_due(farm: Farm, registry_without_jobs: Harness) -> None:
    farm.subscribe_and_break_off()
    listed = farm.caller.get("/agents", per_page=100).json()["agent_list"]
    assert (
        sorted(each["models_desired"] for each in listed) == [0] * (MACHINES_AT_ONCE + 1) + [MODELS] * MACHINES_AT_ONCE
    )
    [job] = [job for job in build_jobs(registry_without_jobs.resources, Metrics()) if job.name == "due machines"]
    job.do()
    assert (farm.count_models(), farm.count_due()) == ([MODELS] * MACHINES, 0)


def test_next_change_of_the_team_updates_machines_that_a_process_left_due_after_its_own_transaction(farm: Farm) -> None:
    farm.subscribe_and_break_off()
    due = list[int]()
    farm.subscribe(lambda: due.append(farm.count_due()), label="no-machine-has-it")
    assert due == [MACHINES_AT_ONCE + 1, 1, 0]
    assert farm.count_models() == [MODELS] * MACHINES


def test_new_version_between_two_transactions_is_what_all_machines_get(farm: Farm) -> None:
    versions = [farm.model_ids[:1]]

    def add_version_once() -> None:
        while versions:
            farm.add_version(*versions.pop())

    farm.subscribe(add_version_once)
    assert (farm.count_models(), farm.count_due()) == ([1] * MACHINES, 0)


@pytest.mark.parametrize(
    ("error", "level"),
    [
        pytest.param(Unavailable("busy"), logging.WARNING, id="refused"),
        pytest.param(ArithmeticError("a bug"), logging.ERROR, id="bug"),
    ],
)
def test_subscription_is_made_if_a_further_transaction_fails(
    farm: Farm, caplog: pytest.LogCaptureFixture, error: Exception, level: int
) -> None:
    errors = [None, error]

    def fail_second() -> None:
        if raised := errors.pop(0):
            raise raised

    subscription = farm.subscribe(fail_second)
    listed = farm.caller.get(f"/collections/{farm.collection_id}/subscriptions").json()["subscription_list"]
    assert [each["id"] for each in listed] == [str(subscription)]
    assert farm.count_due() == 1
    [record] = [each for each in caplog.records if each.name == "modelyard.collections"]
    assert (record.levelno, bool(record.exc_info)) == (level, level == logging.ERROR)


def test_job_writes_a_step_of_a_rollout_in_one_transaction_and_leaves_other_machines_due(farm: Farm) -> None:
    farm.subscribe(_do_nothing)
    rollout_id = farm.start_empty_version_with_a_canary()
    due = list[int]()
    database = WatchedDatabase(farm.database, after_writing=lambda: due.append(farm.count_due()))
    assert advance_rollout(database.as_database(), farm.team_id, rollout_id)
    assert due == [MACHINES - 1 - MACHINES_AT_ONCE]
    assert farm.count_models() == [MODELS] * (MACHINES - 1 - MACHINES_AT_ONCE)


def test_deletion_between_two_transactions_takes_the_models_from_all_machines(farm: Farm) -> None:
    farm.subscribe_and_break_off()
    delete_collection(farm.database, farm.team, farm.collection_id)
    assert (farm.count_models(), farm.count_due(), farm.list_agents_assigned()) == ([], 0, {0})


def test_due_machine_whose_labels_change_is_not_due_any_more(farm: Farm) -> None:
    farm.subscribe_and_break_off()
    agent_id = farm.list_machines(are_due=True)[0]
    assert farm.caller.put(f"/agents/{agent_id}", agent_labels=["gpu24", "big"]).status_code == 200
    assert (farm.count_models(), farm.count_due()) == ([MODELS] * (MACHINES_AT_ONCE + 1), MACHINES_AT_ONCE)
