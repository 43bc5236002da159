"""The keys of machines: the one that is shown, those that a new pairing replaces, and what a refused key looks like."""

from datetime import timedelta
from typing import Any

import pytest

from modelyard.server.agents.desired_counts import DesiredCounts
from modelyard.server.agents.metrics import MachineMetrics
from modelyard.server.database.base import now
from tests.server.agents.machine import (
    Machine,
    add_machine,
    change_last_key,
    list_agents,
    pair_agent,
    set_last_heartbeat_ago,
)
from tests.server.harness import ApiCaller, Harness
from tests.server.query_plans import record_queries

pytestmark = pytest.mark.slow

PAIR_AGAIN = "Pair it again, on the machine: modelyard agent pair"
CREATE_KEY = "Give it another one: modelyard key create render-07 --kind agent"


def get_state(team: ApiCaller) -> tuple[str, str | None]:
    shown = list_agents(team)["render-07"]
    return shown["machine_state"], shown["state_reason"]


def test_machine_with_revoked_key_says_so_at_once_and_for_good(shared_registry: Harness, team: ApiCaller) -> None:
    machine = Machine(pair_agent(shared_registry, team))
    machine.beat()
    assert get_state(team) == ("up_to_date", None)
    [key] = [key for key in team.get("/credentials").json()["credentials"] if key["kind"] == "agent"]
    assert team.delete(f"/credentials/{key['id']}").status_code == 204
    assert machine.send().status_code == 401
    assert get_state(team) == ("offline", f"Its key was revoked. {PAIR_AGAIN}")
    assert list(list_agents(team, machine_state="offline")) == ["render-07"]
    set_last_heartbeat_ago(shared_registry, team, 91)
    assert get_state(team) == ("offline", f"Its key was revoked. {PAIR_AGAIN}")
    Machine(pair_agent(shared_registry, team)).beat()
    assert get_state(team) == ("up_to_date", None)


def test_machine_whose_person_left_the_team_says_so(shared_registry: Harness, team: ApiCaller) -> None:
    person = shared_registry.create_member("member", team)
    Machine(pair_agent(shared_registry, person)).beat()
    assert team.delete(f"/members/{person.user_id}").status_code == 204
    assert get_state(team) == ("offline", f"The person whose key it used has left the team. {PAIR_AGAIN}")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"revoked_at": now()}, f"Its key was revoked. {CREATE_KEY}"),
        ({"expires_at": now() - timedelta(days=1)}, f"Its key has expired. {CREATE_KEY}"),
        (
            {"user_id": None, "expires_at": now() + timedelta(days=1)},
            "The person who is responsible for its key is no admin any more. An admin can make the key work again: "
            "modelyard key rotate KEY",
        ),
    ],
    ids=["revoked", "expired", "stopped"],
)
def test_machine_with_a_key_of_an_admin_that_ended_names_the_command_for_another(
    shared_registry: Harness, team: ApiCaller, machine: Machine, values: dict[str, Any], reason: str
) -> None:
    change_last_key(shared_registry, team, **values)
    assert get_state(team) == ("offline", reason)


def test_machine_with_an_expired_key_is_counted_as_offline(registry: Harness) -> None:
    team = registry.create_team()
    add_machine(registry, team)
    change_last_key(registry, team, expires_at=now() - timedelta(days=1))
    [family] = MachineMetrics(registry.resources.database, DesiredCounts()).collect()
    assert {each.labels["state"]: each.value for each in family.samples}["offline"] == 1


def test_number_of_queries_for_a_list_does_not_depend_on_the_number_of_machines(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    def count_queries() -> int:
        list_agents(team)
        with record_queries(shared_registry.resources.database.engine, of_all_threads=True) as queries:
            list_agents(team)
        return len(queries.sent)

    before = count_queries()
    for number in range(3):
        add_machine(shared_registry, team, f"render-1{number}")
    assert count_queries() == before


def pair_machine(registry: Harness, user: ApiCaller, **confirmation: Any) -> Machine:
    """Return ``render-07`` with the key of a new pairing that a user confirmed."""
    key = registry.pair(user, is_for_agent=True, **confirmation)["agent_key"]
    return Machine(ApiCaller(registry.client, key))


def list_key_states(team: ApiCaller) -> list[tuple[str, str]]:
    """Return the names and states of the keys of machines, oldest first."""
    keys = reversed(team.get("/credentials").json()["credentials"])
    return [(key["display_name"], key["key_status"]) for key in keys if key["kind"] == "agent"]


def test_machine_that_is_paired_three_times_has_one_active_key_with_its_name(
    shared_registry: Harness, team: ApiCaller
) -> None:
    for confirmation in ({"device_name": "render-07"}, {"device_name": "render-08"}, {}):
        machine = pair_machine(shared_registry, team, **confirmation)
        machine.beat()
        machine.beat(is_stopping=True)
    assert list_key_states(team) == [("render-07", "revoked"), ("render-07", "revoked"), ("render-07", "active")]
    shown = list_agents(team)["render-07"]
    [key] = [key for key in team.get("/credentials").json()["credentials"] if key["key_status"] == "active"]
    assert (shown["key_name"], shown["key_prefix"]) == ("render-07", key["key_prefix"])
    assert team.delete(f"/credentials/{key['id']}").status_code == 204
    assert machine.send().status_code == 401
    events = team.get("/audit-events", action="credential.revoked").json()["audit_event_list"]
    assert [event["actor_kind"] for event in events] == ["user", "system", "system"]
    assert events[1]["facts"]["agent_id"] == "render-07"


def test_machine_that_takes_up_a_key_leaves_those_of_other_people_and_of_no_pairing_active(
    shared_registry: Harness, team: ApiCaller
) -> None:
    person = shared_registry.create_member("member", team)
    for key in (
        pair_agent(shared_registry, person),
        shared_registry.create_key("agent", team),
        pair_agent(shared_registry, team),
        shared_registry.create_key("agent", team),
    ):
        machine = Machine(key)
        machine.beat()
        machine.beat(is_stopping=True)
    assert {state for _, state in list_key_states(team)} == {"active"}


def test_key_of_a_device_that_a_person_named_keeps_its_name(shared_registry: Harness, team: ApiCaller) -> None:
    named = shared_registry.pair(team, device_name="Ada's laptop")["agent_key"]
    unnamed = shared_registry.pair(team)["agent_key"]
    Machine(ApiCaller(shared_registry.client, named)).beat()
    Machine(ApiCaller(shared_registry.client, unnamed), "render-08").beat()
    assert list_key_states(team) == [("Ada's laptop", "active"), ("render-08", "active")]


def test_key_of_a_machine_is_shown_to_admins_only(shared_registry: Harness, team: ApiCaller, machine: Machine) -> None:
    assert list_agents(team)["render-07"]["key_prefix"].startswith("ak-")
    shown = list_agents(shared_registry.create_member("member", team))["render-07"]
    assert (shown["key_name"], shown["key_prefix"]) == (None, None)
