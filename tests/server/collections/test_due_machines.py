"""Changes of collections for many machines: in transactions of some rows, between which others write."""

import logging

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from modelyard.server.collections.deletion import delete_collection
from modelyard.server.collections.due_machines import writing_changes
from modelyard.server.collections.rollouts.advancing import advance_rollout
from modelyard.server.collections.subscriptions import unsubscribe
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.scheduler.jobs import build_jobs
from modelyard.wire.problems import Unavailable
from tests.server.agents.test_replicas import load_stored_and_actual_counts
from tests.server.collections.farm import MACHINES, MACHINES_AT_ONCE, MODELS, Farm, do_nothing
from tests.server.harness import Harness
from tests.server.watched_database import WatchedDatabase


@pytest.fixture
def farm(registry_without_jobs: Harness) -> Farm:
    return Farm(registry_without_jobs)


def list_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged about collections."""
    return [each for each in caplog.records if each.name == "modelyard.collections"]


def test_each_transaction_updates_whole_machines_with_20000_assignments_at_most(farm: Farm) -> None:
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


def test_subscription_is_made_if_the_database_refuses_a_further_transaction(
    farm: Farm, caplog: pytest.LogCaptureFixture
) -> None:
    farm.subscribe_and_refuse_second_transaction()
    assert farm.list_subscriptions() == ["gpu24"]
    assert (farm.count_models(), farm.count_due()) == ([MODELS] * MACHINES_AT_ONCE, MACHINES_AT_ONCE + 1)
    [record] = list_records(caplog)
    assert (record.levelno, bool(record.exc_info)) == (logging.WARNING, False)


@pytest.mark.parametrize("index", [0, MACHINES_AT_ONCE + 1], ids=["in_the_first_transaction", "in_a_further_one"])
def test_machine_that_cannot_be_updated_keeps_no_other_from_its_models(
    farm: Farm, caplog: pytest.LogCaptureFixture, index: int
) -> None:
    broken = farm.list_machines()[index]
    with farm.breaking_updates_of(broken):
        farm.subscribe(do_nothing)
        assert farm.list_subscriptions() == ["gpu24"]
        assert (farm.count_models(), farm.list_machines(are_due=True)) == ([MODELS] * (MACHINES - 1), [broken])
        assert all(record.exc_info for record in list_records(caplog))
        assert [each.__dict__["machine"] for each in list_records(caplog) if "machine" in each.__dict__] == [broken]


def test_subscription_is_not_made_if_the_connection_fails_in_its_transaction(farm: Farm) -> None:
    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "INSERT INTO assignments" in statement:
            raise OperationalError(statement, None, ConnectionError())

    event.listen(farm.database.engine, "before_cursor_execute", fail)
    try:
        with pytest.raises(Unavailable):
            farm.subscribe(do_nothing)
    finally:
        event.remove(farm.database.engine, "before_cursor_execute", fail)
    assert (farm.list_subscriptions(), farm.count_due()) == ([], 0)


def test_collection_can_be_changed_while_one_of_its_machines_cannot_be_updated(farm: Farm) -> None:
    broken = farm.list_machines()[MACHINES_AT_ONCE + 1]
    path = f"/collections/{farm.collection_id}"
    with farm.breaking_updates_of(broken):
        assert farm.caller.post(f"{path}/subscriptions", label="gpu24").status_code == 201
        assert farm.caller.put(path, is_pinned=True).status_code == 200
        assert farm.count_models(are_pinned=True) == [MODELS] * (MACHINES - 1)
        assert farm.list_machines(are_due=True) == [broken]
        [subscription] = farm.caller.get(f"{path}/subscriptions").json()["subscription_list"]
        assert farm.caller.delete(f"{path}/subscriptions/{subscription['id']}").status_code == 204
        assert (farm.count_models(), farm.count_due()) == ([], 0)


def test_job_updates_the_machines_after_one_that_cannot_be_updated_and_fails(
    farm: Farm, registry_without_jobs: Harness
) -> None:
    farm.subscribe_and_break_off()
    broken = farm.list_machines(are_due=True)[0]
    [job] = [job for job in build_jobs(registry_without_jobs.resources, Metrics()) if job.name == "due machines"]
    with farm.breaking_updates_of(broken):
        with pytest.raises(Unavailable):
            job.do()
        assert (farm.count_models(), farm.list_machines(are_due=True)) == ([MODELS] * (MACHINES - 1), [broken])
    job.do()
    assert (farm.count_models(), farm.count_due()) == ([MODELS] * MACHINES, 0)


def test_job_writes_a_step_of_a_rollout_in_one_transaction_and_leaves_other_machines_due(farm: Farm) -> None:
    farm.subscribe(do_nothing)
    rollout_id = farm.start_empty_version_with_a_canary()
    due = list[int]()
    database = WatchedDatabase(farm.database, after_writing=lambda: due.append(farm.count_due()))
    assert advance_rollout(database.as_database(), farm.team_id, rollout_id)
    assert due == [MACHINES - 1 - MACHINES_AT_ONCE]
    assert farm.count_models() == [MODELS] * (MACHINES - 1 - MACHINES_AT_ONCE)


def test_each_transaction_that_deletes_reported_states_keeps_the_counts_of_models_and_machines(farm: Farm) -> None:
    subscription = farm.subscribe(do_nothing)
    farm.insert_states()
    ready = list[int]()

    def compare() -> None:
        stored, actual = load_stored_and_actual_counts(farm.registry, farm.caller)
        assert stored == actual
        ready.append(sum(stored.values()))

    compare()
    farm.unsubscribe(subscription, compare)
    assert ready == sorted(set(ready), reverse=True)
    assert (len(ready), ready[-1]) == (4, 0)


def test_unsubscribe_reads_no_states_of_other_machines(farm: Farm) -> None:
    subscription = farm.subscribe(do_nothing)
    farm.insert_states()
    database = WatchedDatabase(farm.database)
    with writing_changes(database.as_database(), farm.team_id) as session:
        unsubscribe(session, farm.team, farm.collection_id, subscription)
    about_states = [each for written in database.written for each in written if "agent_models" in each]
    assert about_states
    assert [each for each in about_states if "agent_models.agent_number IN" not in each] == []


def test_deletion_between_two_transactions_takes_the_models_from_all_machines(farm: Farm) -> None:
    farm.subscribe_and_break_off()
    delete_collection(farm.database, farm.team, farm.collection_id)
    assert (farm.count_models(), farm.count_due(), farm.list_agents_assigned()) == ([], 0, {0})


def test_due_machine_whose_labels_change_is_not_due_any_more(farm: Farm) -> None:
    farm.subscribe_and_break_off()
    agent_id = farm.list_machines(are_due=True)[0]
    assert farm.caller.put(f"/agents/{agent_id}", agent_labels=["gpu24", "big"]).status_code == 200
    assert (farm.count_models(), farm.count_due()) == ([MODELS] * (MACHINES_AT_ONCE + 1), MACHINES_AT_ONCE)
