"""Deleting models that machines hold by a pinned collection."""

from uuid import uuid4

import pytest

from tests.server.agents.machine import Machine, add_machine, build_states, list_agents
from tests.server.harness import ApiCaller, Harness, make_model_file

PATH = "loras/ink.safetensors"


@pytest.fixture
def ink(team: ApiCaller) -> str:
    return team.register(make_model_file("ink"), PATH, required_labels=["none"])


@pytest.fixture
def machine(shared_registry: Harness, team: ApiCaller) -> Machine:
    return add_machine(shared_registry, team)


def create(team: ApiCaller, model_id: str, *, is_pinned: bool = True, is_subscribed: bool = True) -> None:
    """Create a collection with the model."""
    created = team.post("/collections", name=f"Winter {uuid4().hex[:8]}", model_list=[{"model_id": model_id}])
    path = f"/collections/{created.json()['id']}"
    assert team.put(path, is_pinned=is_pinned).status_code == 200
    if is_subscribed:
        assert team.post(f"{path}/subscriptions", agent_id="render-07").status_code == 201


@pytest.mark.usefixtures("machine")
def test_delete_model_of_a_pinned_collection_with_subscriptions_is_refused_with_its_name(
    team: ApiCaller, ink: str
) -> None:
    create(team, ink)
    [collection] = team.get("/collections").json()["collection_list"]
    refused = team.delete(f"/models/{ink}")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_pinned")
    assert refused.json()["collections"] == [collection["name"]]
    assert collection["name"] in refused.json()["detail"]
    assert team.get(f"/models/{ink}").status_code == 200
    assert team.delete(f"/models/{ink}?force=true").status_code == 204
    [deleted] = team.get("/audit-events", action="model.deleted").json()["audit_event_list"]
    assert deleted["facts"]["pinned_in"] == [collection["name"]]


@pytest.mark.usefixtures("machine")
def test_delete_model_of_a_held_version_that_no_machine_has_yet_needs_no_force(team: ApiCaller, ink: str) -> None:
    other = team.register(make_model_file("other"), "loras/other.safetensors")
    create(team, other)
    [collection] = team.get("/collections").json()["collection_list"]
    path = f"/collections/{collection['id']}"
    assert team.put(path, is_held=True).status_code == 200
    models = [{"model_id": other}, {"model_id": ink}]
    assert team.post(f"{path}/versions", model_list=models, expected_version=1).status_code == 201
    deleted = team.delete(f"/models/{ink}")
    assert deleted.status_code == 204
    [event] = team.get("/audit-events", action="model.deleted").json()["audit_event_list"]
    assert "pinned_in" not in event["facts"]


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("present", ["is_pinned", "is_subscribed"])
def test_delete_model_that_no_machine_holds_pinned_needs_no_force(team: ApiCaller, ink: str, present: str) -> None:
    create(team, ink, **{"is_pinned": False, "is_subscribed": False, present: True})
    assert team.delete(f"/models/{ink}").status_code == 204


@pytest.mark.parametrize("is_disabled", [False, True], ids=["in the trash", "disabled"])
def test_machine_that_loses_a_pinned_model_has_a_problem_until_it_is_back(
    team: ApiCaller, ink: str, machine: Machine, is_disabled: bool
) -> None:
    create(team, ink)
    machine.begin(build_states(ink))
    assert list_agents(team)["render-07"]["machine_state"] == "up_to_date"
    if is_disabled:
        assert team.put(f"/models/{ink}", model_status="disabled").status_code == 200
    else:
        assert team.delete(f"/models/{ink}?force=true").status_code == 204
    shown = list_agents(team)["render-07"]
    assert shown["machine_state"] == "problem"
    assert PATH in shown["state_reason"]
    assert ("disabled" if is_disabled else "in the trash") in shown["state_reason"]
    if is_disabled:
        assert team.put(f"/models/{ink}", model_status="active").status_code == 200
    else:
        assert team.post(f"/models/{ink}/restore").status_code == 200
    machine.begin(build_states(ink), "two")
    assert list_agents(team)["render-07"]["machine_state"] == "up_to_date"
