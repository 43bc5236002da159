"""Whose key may use a machine's name after the machine was stopped."""

from typing import Any

import pytest

from modelyard.server.database.base import now
from tests.server.agents.machine import Machine, change_last_key, list_agent_events, list_agents, pair_agent
from tests.server.harness import ApiCaller, Harness


def stop_machine_of(registry: Harness, user: ApiCaller) -> Machine:
    """Return a machine that a user has paired, and that was stopped."""
    machine = Machine(pair_agent(registry, user))
    machine.beat()
    machine.beat(is_stopping=True)
    return machine


def get_key_change(team: ApiCaller) -> dict[str, Any]:
    """Return the newest event of the team, which is a change of a machine's key."""
    event: dict[str, Any] = team.get("/audit-events", per_page=1).json()["audit_event_list"][0]
    assert (event["action"], event["object_id"]) == ("agent.key_changed", "render-07")
    return event


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_key_of_another_person_below_admin_does_not_take_over_a_stopped_machine(
    shared_registry: Harness, team: ApiCaller, machine: Machine, role: str
) -> None:
    machine.beat(is_stopping=True)
    other = Machine(pair_agent(shared_registry, shared_registry.create_member(role, team)))
    refused = other.send()
    assert (refused.status_code, refused.json()["error_code"]) == (409, "agent_taken")
    assert "modelyard machine rm render-07" in refused.json()["detail"]
    assert machine.beat()["paused"] is False
    assert "agent.key_changed" not in list_agent_events(team)


def test_second_machine_with_the_name_of_one_that_runs_is_refused_with_the_command_for_another_name(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    machine.beat()
    refused = Machine(pair_agent(shared_registry, team)).send()
    assert (refused.status_code, refused.json()["error_code"]) == (409, "agent_taken")
    assert "modelyard agent run --agent-id NAME" in refused.json()["detail"]


@pytest.mark.parametrize(
    "values",
    [{"revoked_at": now()}, {"expires_at": now()}, {"user_id": None}],
    ids=["revoked", "expired", "without a person"],
)
def test_last_key_that_is_not_valid_keeps_the_name_for_its_person_and_admins(
    shared_registry: Harness, team: ApiCaller, values: dict[str, Any]
) -> None:
    stop_machine_of(shared_registry, shared_registry.create_member("viewer", team))
    change_last_key(shared_registry, team, **values)
    other = Machine(pair_agent(shared_registry, shared_registry.create_member("member", team)))
    assert other.send().json()["error_code"] == "agent_taken"
    Machine(pair_agent(shared_registry, team)).beat()


def test_name_of_a_person_who_left_the_team_is_not_taken_over_by_a_member(
    shared_registry: Harness, team: ApiCaller
) -> None:
    person = shared_registry.create_member("viewer", team)
    stop_machine_of(shared_registry, person)
    assert team.delete(f"/members/{person.user_id}").status_code == 204
    other = Machine(pair_agent(shared_registry, shared_registry.create_member("member", team)))
    assert other.send().json()["error_code"] == "agent_taken"


def test_running_machine_is_not_taken_over_by_an_admin(shared_registry: Harness, team: ApiCaller) -> None:
    machine = Machine(pair_agent(shared_registry, shared_registry.create_member("viewer", team)))
    machine.beat()
    assert Machine(pair_agent(shared_registry, team)).send().json()["error_code"] == "agent_taken"
    machine.beat()


def test_refused_key_may_use_another_name(shared_registry: Harness, team: ApiCaller, machine: Machine) -> None:
    machine.beat(is_stopping=True)
    key = pair_agent(shared_registry, shared_registry.create_member("viewer", team))
    assert Machine(key).send().status_code == 409
    Machine(key, "render-08").beat()
    assert list(list_agents(team)) == ["render-07", "render-08"]


def test_removed_machine_leaves_its_name_to_the_next_key(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    machine.beat(is_stopping=True)
    other = Machine(pair_agent(shared_registry, shared_registry.create_member("viewer", team)))
    assert other.send().status_code == 409
    assert team.delete("/agents/render-07").status_code == 204
    other.beat()


def test_new_pairing_of_the_same_person_takes_over_and_is_recorded(shared_registry: Harness, team: ApiCaller) -> None:
    viewer = shared_registry.create_member("viewer", team)
    stop_machine_of(shared_registry, viewer)
    Machine(pair_agent(shared_registry, viewer)).beat()
    facts = get_key_change(team)["facts"]
    assert facts["before_key_prefix"].startswith("ak-")
    assert facts["key_prefix"].startswith("ak-")
    assert facts["key_prefix"] != facts["before_key_prefix"]


def test_key_of_an_admin_takes_over_a_machine_of_another_person(shared_registry: Harness, team: ApiCaller) -> None:
    stop_machine_of(shared_registry, shared_registry.create_member("viewer", team))
    Machine(shared_registry.create_key("agent", team)).beat()
    assert get_key_change(team)["facts"]["key_name"] == "agent"


def test_person_who_is_no_admin_any_more_does_not_take_over(shared_registry: Harness, team: ApiCaller) -> None:
    stop_machine_of(shared_registry, shared_registry.create_member("member", team))
    admin = shared_registry.create_member("admin", team)
    other = Machine(pair_agent(shared_registry, admin))
    assert team.put(f"/members/{admin.user_id}", member_role="member").status_code == 200
    assert other.send().json()["error_code"] == "agent_taken"


def test_replaced_key_is_refused_with_the_name_that_another_key_uses(shared_registry: Harness, team: ApiCaller) -> None:
    machine = stop_machine_of(shared_registry, team)
    Machine(pair_agent(shared_registry, team)).beat()
    refused = machine.send()
    assert (refused.status_code, refused.json()["agent_id"]) == (401, "render-07")
    assert "agent_id" not in ApiCaller(shared_registry.client, f"{machine.key.token}x").get("/models").json()


def test_revoked_key_of_a_machine_that_no_other_key_uses_is_refused_without_a_name(
    shared_registry: Harness, team: ApiCaller
) -> None:
    machine = stop_machine_of(shared_registry, team)
    change_last_key(shared_registry, team, revoked_at=now())
    refused = machine.send()
    assert (refused.status_code, "agent_id" in refused.json()) == (401, False)


def test_manifest_for_a_key_that_is_new_to_a_machine_names_it(shared_registry: Harness, team: ApiCaller) -> None:
    stop_machine_of(shared_registry, team)
    key = pair_agent(shared_registry, team)
    answers = [Machine(key, name).manifest() for name in ("render-07", "render-08")]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert [answer.json().get("agent_id") for answer in answers] == ["render-07", None]


def test_key_of_another_machine_is_refused_with_the_name_of_that(shared_registry: Harness, team: ApiCaller) -> None:
    machine = stop_machine_of(shared_registry, team)
    other = Machine(machine.key, "render-08")
    answers = [other.send(), other.manifest(), machine.key.get("/agent/models", agent_id="render-08")]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert [answer.json()["agent_id"] for answer in answers] == ["render-07"] * 3
