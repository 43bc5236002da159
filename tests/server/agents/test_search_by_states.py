"""Searches and facets by machine and replica state: they equal what the lists of each machine show."""

from collections import Counter

import pytest

from tests.server.agents.machine import Machine, add_machine, register_model
from tests.server.agents.random_changes import RandomChanges
from tests.server.harness import ApiCaller, Harness

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extended(reason="random changes; test_replicas.py and test_machine_states.py have the rules"),
]

STATES = ["queued", "downloading", "verifying", "ready", "conflict", "blocked", "failed"]


def search(team: ApiCaller, q: str) -> set[str]:
    answer = team.get("/models", q=q, per_page=100)
    assert answer.status_code == 200, answer.text
    return {model["id"] for model in answer.json()["model_list"]}


def count_states(team: ApiCaller, q: str = "") -> dict[str, int]:
    [facet] = team.get("/models/facets", facet="state", q=q).json()["facet_list"]
    return {one["value"]: one["count"] for one in facet["value_list"]}


def list_states(team: ApiCaller, agent_id: str) -> dict[str, str]:
    """Return the state of each model that a machine should hold."""
    answer = team.get(f"/agents/{agent_id}/models", per_page=100)
    return {one["model_id"]: one["state"] for one in answer.json()["agent_model_list"]}


def test_search_by_state_and_machine_after_random_changes_equals_the_lists_of_the_machines(
    shared_registry: Harness, team: ApiCaller
) -> None:
    first = add_machine(shared_registry, team)
    machines = [first, Machine(first.key, "two", ("x",)), Machine(first.key, "three", ("x", "y"))]
    for machine in machines:
        machine.begin()
    needs: dict[str, list[str]] = {register_model(team, f"word{number}"): [] for number in range(6)}
    chance = RandomChanges(team, machines, needs, seed=11)
    for number in range(12):
        for _ in range(4):
            chance.change()
        check_searches(team, [machine.agent_id for machine in chance.list_present()], f"size:<{10**6 + number}")


def check_searches(team: ApiCaller, agent_ids: list[str], uncached: str) -> None:
    """Compare searches; ``uncached`` finds everything, and was in no search before: replica states are cached."""
    states = {agent_id: list_states(team, agent_id) for agent_id in agent_ids}
    everything = {model["id"] for model in team.get("/models", per_page=100).json()["model_list"]}
    for agent_id, of_machine in states.items():
        assert search(team, f"machine:{agent_id}") == set(of_machine)
        assert search(team, f"-machine:{agent_id}") == everything - set(of_machine)
        for state in STATES:
            expected = {model_id for model_id, has in of_machine.items() if has == state}
            assert search(team, f"machine:{agent_id} state:{state}") == expected, state
        assert count_states(team, f"machine:{agent_id} {uncached}") == Counter(of_machine.values())
    pairs = {pair for of_machine in states.values() for pair in of_machine.items()}
    for state in STATES:
        assert search(team, f"state:{state}") == {model_id for model_id, has in pairs if has == state}, state
        assert search(team, f"-state:{state}") == everything - {model_id for model_id, has in pairs if has == state}
    assert search(team, "state:queued|failed") == {model_id for model_id, has in pairs if has in ("queued", "failed")}
    assert count_states(team, uncached) == Counter(has for _, has in pairs)
    missing = {model_id for model_id, has in pairs if has != "ready"}
    assert search(team, "is:missing") == search(team, "missing:any") == missing
    assert search(team, "-is:missing") == everything - missing
