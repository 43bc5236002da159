"""What many requests of one team take at once on the real routes, and that requests of other teams pass meanwhile."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from httpx2 import Response

from modelyard.server.database.base import new_id
from modelyard.server.http.operation_limiter import (
    HEARTBEAT_THREADS,
    READ_THREADS,
    REGISTRATION_THREADS,
    OperationLimiter,
)
from tests.server.agents.machine import add_machine
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.http.held_operations import (
    StallingStore,
    count_queued,
    count_waiting_writers,
    create_teams,
    get_id,
    hold_statements,
    record_transactions,
    sending,
)
from tests.waiting import wait_until

REQUESTS = 6
WORD = "zqheld"


SEARCHES: dict[str, Callable[[ApiCaller, int], Response]] = {
    "list": lambda team, number: team.get("/models", q=f"{WORD}{number}"),
    "facets": lambda team, number: team.get("/models/facets", q=f"{WORD}{number}"),
    "lookup": lambda team, number: team.post("/models/lookup", paths=[f"loras/{WORD}{number}"]),
}


@pytest.mark.parametrize("search", SEARCHES)
def test_searches_of_one_team_run_two_at_a_time_while_reads_of_others_pass(
    quiet_registry: Harness, search: str
) -> None:
    (team, other), limiter = create_teams(quiet_registry), quiet_registry.app.state.read_limiter
    engine = quiet_registry.resources.database.engine
    with (
        hold_statements(engine, WORD) as held,
        sending(REQUESTS, lambda number: SEARCHES[search](team, number), held.release.set) as sent,
    ):
        wait_until(lambda: (held.running, count_queued(limiter, team)) == (READ_THREADS.per_team, REQUESTS - 2))
        assert other.get("/models", q="ink").status_code == 200
        # A team's searches leave its own writes their threads.
        assert team.put("/teams/current", display_name="Still writing").status_code == 200
    assert [each.result().status_code for each in sent] == [200] * REQUESTS
    assert held.most == READ_THREADS.per_team == 2


def test_registrations_of_one_team_run_two_at_a_time_while_those_of_others_pass(quiet_registry: Harness) -> None:
    (team, other), limiter = create_teams(quiet_registry), quiet_registry.app.state.registration_limiter
    store = quiet_registry.resources.store
    assert isinstance(store, StallingStore)
    bodies = [team.new_model(make_model_file(f"{n}"), f"loras/{n}.safetensors") for n in range(REQUESTS)]
    threads = REGISTRATION_THREADS.per_team
    with (
        store.stall_reads(team) as held,
        sending(REQUESTS, lambda number: team.post("/models", **bodies[number]), held.release.set) as sent,
    ):
        wait_until(lambda: (held.running, count_queued(limiter, team)) == (threads, REQUESTS - threads))
        other.register(make_model_file("other"))
        assert team.get("/models").status_code == 200
    assert [each.result().status_code for each in sent] == [201] * REQUESTS
    assert held.most == threads == 2


def test_heartbeats_of_one_team_take_turns_with_a_change_of_another(quiet_registry: Harness) -> None:
    (team, other), database = create_teams(quiet_registry), quiet_registry.resources.database
    limiter: OperationLimiter = quiet_registry.app.state.heartbeat_limiter
    machines = [add_machine(quiet_registry, team, f"render-{number}") for number in range(REQUESTS)]
    model_id = other.register()
    waiting = (HEARTBEAT_THREADS.per_team, REQUESTS - HEARTBEAT_THREADS.per_team)
    with (
        record_transactions(database.engine, "UPDATE agents", "UPDATE models") as order,
        ThreadPoolExecutor(REQUESTS + 1) as threads,
        database.writing(new_id()),
    ):
        beats = [threads.submit(machine.send) for machine in machines]
        wait_until(lambda: (count_waiting_writers(database, team), count_queued(limiter, team)) == waiting)
        change = threads.submit(other.put, f"/models/{model_id}", description="A note.")
        wait_until(lambda: count_waiting_writers(database, other) == 1)
        assert other.get("/models").status_code == 200
    assert [each.result().status_code for each in (*beats, change)] == [200] * (REQUESTS + 1)
    assert order == ["UPDATE agents", "UPDATE models", *["UPDATE agents"] * (REQUESTS - 1)]


@pytest.mark.parametrize(
    ("limiter_name", "beginning", "most"),
    [
        ("loading_limiter", "SELECT agents.number", 2),
        ("building_limiter", "SELECT models.id, models.current_version", 1),
    ],
)
def test_manifests_of_one_team_are_loaded_by_few_threads_while_that_of_another_passes(
    quiet_registry: Harness, limiter_name: str, beginning: str, most: int
) -> None:
    team, other = create_teams(quiet_registry)
    limiter: OperationLimiter = getattr(quiet_registry.app.state.fleet.manifests, limiter_name)
    # With labels of its own, each machine has a manifest of its own.
    machines = [add_machine(quiet_registry, team, f"render-{number}", (f"gpu-{number}",)) for number in range(REQUESTS)]
    others = add_machine(quiet_registry, other)
    with (
        hold_statements(quiet_registry.resources.database.engine, get_id(team).hex, beginning) as held,
        sending(REQUESTS, lambda number: machines[number].manifest(), held.release.set) as sent,
    ):
        wait_until(lambda: (held.running, count_queued(limiter, team)) == (most, REQUESTS - most))
        assert others.manifest().status_code == 200
    assert [each.result().status_code for each in sent] == [200] * REQUESTS
    assert held.most == most
