"""Two agents that report as one machine with one key, as after the copy of a disk; and restarts, which are no such."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from modelyard.server.agents.processes import ENDS_AFTER, MAX_PAUSE, MAX_REPLACED, is_reported_by_two, record_process
from modelyard.server.database.base import now
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.settings import Settings
from modelyard.wire.agents.values import REPORTED_BY_TWO_REASON
from tests.server.agents.machine import Machine, build_states, list_agents, register_model
from tests.server.database.two_servers import two_servers
from tests.server.harness import ApiCaller, Harness

START = now()
RESTARTS = [(number, f"process {number}") for number in range(0, 3600, 20)]


def record(heartbeats: Sequence[tuple[float, str | None]]) -> AgentRow:
    """Return the row of a machine after these heartbeats: the seconds since the first one, and the process of each."""
    agent = AgentRow()
    for seconds, process in heartbeats:
        record_process(agent, process, START + timedelta(seconds=seconds))
    return agent


def count_as_two(heartbeats: Sequence[tuple[float, str | None]]) -> list[bool]:
    """Return for each of these heartbeats whether two agents count as running after it."""
    agent, counted = AgentRow(), []
    for seconds, process in heartbeats:
        moment = START + timedelta(seconds=seconds)
        record_process(agent, process, moment)
        counted.append(is_reported_by_two(agent, moment))
    return counted


def alternate(*processes: str, seconds: float, interval: float = 30) -> list[tuple[float, str | None]]:
    """Return the heartbeats of processes that run beside each other, evenly distributed over each interval."""
    step = interval / len(processes)
    return [(number * step, processes[number % len(processes)]) for number in range(int(seconds / step))]


@pytest.mark.parametrize(
    "heartbeats",
    [
        [(seconds, "a") for seconds in range(0, 3600, 30)],
        [(seconds, None) for seconds in range(0, 3600, 30)],
        RESTARTS,
        [(0, "a"), (10, None), (40, "a"), (70, None), (100, "a"), (130, None), (160, "a")],
        [(0, "a"), (3600, "b"), (3630, "b")],
        [(0, "a"), (10, "b"), (11, "a"), (40, "b"), (70, "b"), (200, "b")],
        [(0, "a"), (10, "b"), (11, "a"), (600, "b"), (630, "b")],
    ],
    ids=["one", "no name", "restarts", "no name at times", "crash", "late heartbeat", "late heartbeat and an outage"],
)
def test_heartbeats_of_one_agent_never_count_as_of_two(heartbeats: list[tuple[float, str | None]]) -> None:
    assert not any(count_as_two(heartbeats))


@pytest.mark.parametrize("count", [2, 3, MAX_REPLACED])
def test_agents_that_run_beside_each_other_count_as_two_from_the_second_minute_on(count: int) -> None:
    heartbeats = alternate(*(f"process {number}" for number in range(count)), seconds=600)
    counted = count_as_two(heartbeats)
    first = heartbeats[counted.index(True)][0]
    assert MAX_PAUSE.total_seconds() < first < 180
    assert all(counted[counted.index(True) :])


def test_agents_count_as_two_with_a_busy_one_and_an_idle_one() -> None:
    idle = [(seconds + 0.5, "idle") for seconds in range(0, 600, 30)]
    busy = [(float(seconds), "busy") for seconds in range(0, 600, 2)]
    assert count_as_two(sorted([*idle, *busy]))[-1]


def test_agents_count_as_two_until_some_minutes_after_one_of_them_has_ended() -> None:
    last = 600.0
    both = alternate("a", "b", seconds=last)
    agent = record([*both, *((last + seconds, "a") for seconds in range(0, 3600, 30))])
    ended = START + timedelta(seconds=last) + ENDS_AFTER
    assert is_reported_by_two(agent, ended - timedelta(seconds=30))
    assert not is_reported_by_two(agent, ended + timedelta(seconds=30))


def test_agents_count_as_two_again_only_after_as_long_as_the_first_time() -> None:
    both, begins = alternate("a", "b", seconds=600), 7200.0
    again = [(begins + seconds, process) for seconds, process in alternate("a", "b", seconds=600)]
    counted = count_as_two([*both, *again])[len(both) :]
    assert again[counted.index(True)][0] > begins + MAX_PAUSE.total_seconds()


def test_processes_before_the_last_ones_are_not_remembered() -> None:
    agent = record(RESTARTS)
    assert agent.replaced_processes == [process for _, process in reversed(RESTARTS[:-1])][:MAX_REPLACED]


def change_returns(registry: Harness, team: ApiCaller, seconds: float) -> None:
    """Set the returns of the team's machine to so many seconds earlier than they were; the first one twice as much."""
    assert team.team_id is not None
    with registry.resources.database.writing(UUID(team.team_id)) as session:
        agent = session.scalars(select(AgentRow).where(AgentRow.team_id == UUID(team.team_id))).one()
        assert agent.returns_since is not None
        assert agent.returned_at is not None
        agent.returns_since -= timedelta(seconds=2 * seconds)
        agent.returned_at -= timedelta(seconds=seconds)


@pytest.fixture
def pair_of_agents(shared_registry: Harness, team: ApiCaller, machine: Machine) -> tuple[Machine, Machine]:
    """Return two agents that have reported in turn, as one machine, for more than 90 seconds."""
    other = Machine(machine.key)
    for process in ("one", "other", "one"):
        machine.beat(agent_process=process)
    change_returns(shared_registry, team, 60)
    return machine, other


def test_two_agents_with_one_key_are_the_problem_of_the_machine_and_both_are_told(
    team: ApiCaller, pair_of_agents: tuple[Machine, Machine]
) -> None:
    machine, other = pair_of_agents
    answers = [other.beat(agent_process="other"), machine.beat(agent_process="one", problem="/data is not mounted.")]
    assert [answer["is_reported_by_two"] for answer in answers] == [True, True]
    listed = list_agents(team)["render-07"]
    assert (listed["machine_state"], listed["state_reason"]) == ("problem", REPORTED_BY_TWO_REASON)
    assert list(list_agents(team, machine_state="problem")) == ["render-07"]


def test_machine_that_one_of_two_agents_reports_has_no_problem_after_some_minutes(
    shared_registry: Harness, team: ApiCaller, pair_of_agents: tuple[Machine, Machine]
) -> None:
    other = pair_of_agents[1]
    assert other.beat(agent_process="other")["is_reported_by_two"]
    change_returns(shared_registry, team, ENDS_AFTER.total_seconds())
    assert not other.beat(agent_process="other")["is_reported_by_two"]
    assert list_agents(team)["render-07"]["machine_state"] == "up_to_date"


@pytest.mark.slow
def test_agents_are_told_apart_by_two_servers_on_one_database(settings: Settings) -> None:
    with two_servers(settings) as servers:
        owner = servers.registry.owner
        key = servers.registry.create_key("agent", owner)
        at_both = [Machine(caller) for caller in servers.both(key)]
        for number in range(4):
            # As after a restart of the server too: one agent whose heartbeats arrive at either.
            assert at_both[number % 2].beat(agent_process="one")["is_reported_by_two"] is False
        assert list_agents(owner)["render-07"]["machine_state"] == "up_to_date"
        for machine, process in zip(at_both, ("other", "one"), strict=True):
            machine.beat(agent_process=process)
        change_returns(servers.registry, owner, 60)
        answers = [at_both[0].beat(agent_process="other"), at_both[1].beat(agent_process="one")]
        assert [answer["is_reported_by_two"] for answer in answers] == [True, True]
        assert list_agents(servers.on(1, owner))["render-07"]["state_reason"] == REPORTED_BY_TWO_REASON


def test_heartbeat_that_is_repeated_after_a_lost_answer_is_no_return(team: ApiCaller, machine: Machine) -> None:
    model = register_model(team)
    machine.begin(build_states(model))
    repeated: dict[str, Any] = {"report_series": "one", "report_number": 2, "agent_process": "one"}
    for _ in range(3):
        assert machine.send(model_list=build_states(model, state="failed"), **repeated).json()["resend_all"] is False
    machine.begin(build_states(model), series="two")
    assert machine.beat(agent_process="one")["is_reported_by_two"] is False


@pytest.mark.parametrize("process", ["a b", 7, "x" * 65])
def test_heartbeat_with_an_invalid_process_is_read_without_it(machine: Machine, process: object) -> None:
    answer = machine.beat(agent_process=process)
    assert [each["field"] for each in answer["unreadable_list"]] == ["agent_process"]
    assert answer["is_reported_by_two"] is False
