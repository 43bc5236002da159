"""How much of a full heartbeat holds the team's lock: its report is compared before, and written by few statements."""

from collections.abc import Callable, Sequence
from uuid import UUID

import pytest
from sqlalchemy import select

from modelyard.server.agents.heartbeats.recording import record_heartbeat
from modelyard.server.agents.heartbeats.reported_states import CHANGES_PER_TRANSACTION
from modelyard.server.identity.authentication import Caller
from modelyard.server.models.replicas.reports import CountChanges, ReportChanges
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire.agents.heartbeats import Heartbeat
from modelyard.wire.agents.values import UNHEALTHY_SECONDS
from modelyard.wire.people.roles import Role
from tests.server.agents.machine import (
    Machine,
    add_machine,
    build_states,
    list_agent_events,
    list_agents,
    list_states_on,
    register_model,
    set_last_heartbeat_ago,
)
from tests.server.harness import ApiCaller, Harness
from tests.server.models.model_factory import BEGAN, ModelSpec, TeamModels
from tests.server.watched_database import WatchedDatabase


class ReportingMachine:
    """A machine whose reports are recorded in this thread, without a request."""

    def __init__(self, registry: Harness, team: ApiCaller, machine: Machine, model_ids: list[str]) -> None:
        self._database, self._machine = registry.resources.database, machine
        machine.begin(build_states(*model_ids, state="queued"))
        with self._database.reading() as session:
            key_id = session.scalars(select(AgentRow.credential_id).where(AgentRow.team_id == UUID(team.team_id))).one()
        caller = Caller("agent", None, key_id, None, UUID(team.team_id), "write", "Machines", None)
        self._team = TeamContext(caller, UUID(team.team_id), None, responsible_role=Role.OWNER)

    def report(
        self, model_ids: list[str], labels: Sequence[str] = (), **watched: Callable[[], None]
    ) -> WatchedDatabase:
        """Report these models as ready, and return the statements."""
        self._machine.number += 1
        return self.repeat(model_ids, labels, **watched)

    def repeat(
        self, model_ids: list[str], labels: Sequence[str] = (), **watched: Callable[[], None]
    ) -> WatchedDatabase:
        """Report these models as ready with the number of the last report."""
        beat = Heartbeat(
            agent_id=self._machine.agent_id,
            agent_labels=[*labels],
            report_series=self._machine.series,
            report_number=self._machine.number,
            model_list=build_states(*model_ids),
        )
        database = WatchedDatabase(self._database, **watched)
        assert not record_heartbeat(database.as_database(), self._team, beat, max_machines=10).resend_all
        return database


def test_heartbeat_of_many_models_is_written_in_transactions_of_no_more_statements_than_one_of_2(
    registry_without_jobs: Harness,
) -> None:
    team = registry_without_jobs.create_team()
    machine = add_machine(registry_without_jobs, team)
    models = TeamModels(registry_without_jobs.resources.database, UUID(team.team_id))
    count = 3 * CHANGES_PER_TRANSACTION
    ids = sorted(
        map(str, models.insert(ModelSpec(f"ink {n}", columns={"verified_at": BEGAN}) for n in range(count + 2)))
    )
    reporting = ReportingMachine(registry_without_jobs, team, machine, ids)
    few, many = reporting.report(ids[:2]), reporting.report(ids[2:])
    pages = [list_states_on(team, per_page=100, current_page=number) for number in range(1, count // 100 + 2)]
    states = [state for page in pages for state in page.values()]
    assert states == ["ready"] * (count + 2)
    assert team.get(f"/models/{ids[2]}").json()["agents_ready"] == 1
    assert list_agents(team)["render-07"]["models_ready"] == count + 2
    assert (len(few.written), len(many.written)) == (1, 3)
    assert max(map(len, many.written)) <= len(few.written[0])
    # Which models and states there are was read before, by as many statements; whose they are only for many.
    assert len(many.read) <= 2 * len(few.read)
    assert any("FROM agent_models" in each for each in many.read)
    assert not any("FROM agent_models" in each for transaction in many.written for each in transaction)


def test_changes_of_a_report_in_parts_are_those_of_the_whole() -> None:
    ids = [UUID(int=number) for number in range(9)]
    changes = ReportChanges(
        added=[{"model_id": each, "state": "ready"} for each in ids[:3]],
        changed=[{"model": each, "state": "failed"} for each in ids[3:7]],
        removed=ids[7:],
        ready=CountChanges(ids[:3], ids[5:]),
        unloaded=CountChanges((), ids[6:8]),
    )
    parts = changes.split(2)
    assert [len(each.added) + len(each.changed) + len(each.removed) for each in parts] == [2, 2, 2, 2, 1]
    for name in ("added", "changed", "removed"):
        assert [row for each in parts for row in getattr(each, name)] == [*getattr(changes, name)]
    for each in parts:
        of_part = {*each.removed, *(row.get("model_id") or row["model"] for row in (*each.added, *each.changed))}
        assert {*each.ready.increased, *each.ready.decreased, *each.unloaded.decreased} <= of_part
    assert sorted(model for each in parts for model in each.ready.decreased) == ids[5:]
    assert changes.split(9) == [changes]


@pytest.fixture
def reporting(registry_without_jobs: Harness) -> tuple[ReportingMachine, ApiCaller, list[str]]:
    """A machine of a new team, and the models of which a report takes two transactions."""
    team = registry_without_jobs.create_team()
    machine = add_machine(registry_without_jobs, team)
    specs = (ModelSpec(f"ink {n}", columns={"verified_at": BEGAN}) for n in range(CHANGES_PER_TRANSACTION + 1))
    ids = TeamModels(registry_without_jobs.resources.database, UUID(team.team_id)).insert(specs)
    listed = sorted(map(str, ids))
    return ReportingMachine(registry_without_jobs, team, machine, listed), team, listed


def check_counts(team: ApiCaller, ids: list[str]) -> None:
    """Check that the machine has all models, and each model the machine, once."""
    assert list_agents(team)["render-07"]["models_ready"] == len(ids)
    assert {team.get(f"/models/{model_id}").json()["agents_ready"] for model_id in (ids[0], ids[-1])} == {1}


def test_report_that_is_repeated_between_its_transactions_is_counted_once(
    reporting: tuple[ReportingMachine, ApiCaller, list[str]],
) -> None:
    machine, team, ids = reporting
    repeats = [machine.repeat]

    def repeat_once() -> None:
        while repeats:
            repeats.pop()(ids)

    machine.report(ids, after_writing=repeat_once)
    assert not repeats
    check_counts(team, ids)


def test_report_that_was_compared_before_another_broke_off_is_counted_once(
    reporting: tuple[ReportingMachine, ApiCaller, list[str]],
) -> None:
    machine, team, ids = reporting

    def break_off() -> None:
        with pytest.raises(InterruptedError):
            machine.repeat(ids, after_writing=_raise_interrupted)

    machine.report(ids, after_reading=break_off)
    check_counts(team, ids)


def writes_states(transaction: list[str]) -> bool:
    """Return whether statements of a transaction are about the states of machines."""
    return any("agent_models" in each for each in transaction)


def test_report_of_many_changes_of_a_machine_that_comes_back_is_written_after_its_return(
    reporting: tuple[ReportingMachine, ApiCaller, list[str]], registry_without_jobs: Harness
) -> None:
    machine, team, ids = reporting
    set_last_heartbeat_ago(registry_without_jobs, team, UNHEALTHY_SECONDS + 1)
    transactions = machine.report(ids).written
    assert [writes_states(each) for each in transactions] == [False, True, True]
    assert list_agent_events(team) == ["agent.first_seen", "agent.unhealthy", "agent.recovered"]
    check_counts(team, ids)


def test_report_of_many_changes_of_a_machine_with_other_labels_is_written_after_these(
    reporting: tuple[ReportingMachine, ApiCaller, list[str]],
) -> None:
    machine, team, ids = reporting
    transactions = machine.report(ids, labels=["gpu"]).written
    # Other labels may end states, which one statement looks for.
    assert [writes_states(each) for each in transactions[1:]] == [True, True]
    assert not any("INSERT INTO agent_models" in each or "UPDATE agent_models" in each for each in transactions[0])
    check_counts(team, ids)


def test_report_of_many_changes_is_compared_again_after_a_change_of_models(
    reporting: tuple[ReportingMachine, ApiCaller, list[str]],
) -> None:
    machine, team, ids = reporting
    names = ["ink", "oil"]

    def register_one() -> None:
        if names:
            register_model(team, names.pop())

    transactions = machine.report(ids, after_reading=register_one).written
    assert not names
    assert [writes_states(each) for each in transactions] == [False, True, True]
    check_counts(team, ids)


def _raise_interrupted() -> None:
    raise InterruptedError
