"""The routes for machines: list, label, pause, approve a removal, request a sync, remove."""

import pytest

from tests.server.agents.machine import (
    Machine,
    add_machine,
    build_states,
    get_replica_counts,
    list_agent_events,
    list_agents,
    list_missing,
    list_states_on,
    register_model,
)
from tests.server.harness import ApiCaller, Harness

TOKEN, OTHER_TOKEN = "a" * 64, "b" * 64


def test_list_agents_is_sorted_by_name_and_paged_by_page_or_cursor(team: ApiCaller, machine: Machine) -> None:
    for number in (9, 8, 10):
        Machine(machine.key, f"render-{number:02}").beat()
    names = ["render-07", "render-08", "render-09", "render-10"]
    assert list(list_agents(team)) == names
    page = team.get("/agents", per_page=3, current_page=2).json()
    assert [agent["agent_id"] for agent in page["agent_list"]] == names[3:]
    assert page["page_meta"]["total_count"] == 4
    first = team.get("/agents", per_page=3, cursor="").json()
    second = team.get("/agents", per_page=3, cursor=first["page_meta"]["next_cursor"]).json()
    assert [agent["agent_id"] for page in (first, second) for agent in page["agent_list"]] == names
    assert team.get("/agents", cursor="WyJcdTAwMDAiXQ").status_code == 422


def test_list_agents_with_current_etag_returns_304(team: ApiCaller, machine: Machine) -> None:
    etag = team.get("/agents").headers["ETag"]
    again = team.call("GET", "/agents", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    machine.beat(sync_phase="scanning")
    assert team.call("GET", "/agents", headers={"If-None-Match": etag}).status_code == 200


def test_change_agent_labels_are_added_to_those_of_the_machine(shared_registry: Harness, team: ApiCaller) -> None:
    machine = add_machine(shared_registry, team, labels=("gpu24",))
    assert team.put("/agents/render-07", agent_labels=["night", "gpu24"]).status_code == 200
    shown = list_agents(team, label="night")["render-07"]
    assert (shown["agent_labels"], shown["central_labels"]) == (["gpu24", "night"], ["night", "gpu24"])
    machine.labels = ()
    machine.beat()
    assert list_agents(team)["render-07"]["agent_labels"] == ["gpu24", "night"]
    team.put("/agents/render-07", agent_labels=None)
    assert list_agents(team)["render-07"]["agent_labels"] == []
    assert list_agents(team, label="night") == {}
    assert list_agent_events(team) == ["agent.first_seen", "agent.labelled", "agent.labelled"]


def test_heartbeat_of_paused_machine_returns_paused_until_it_is_resumed(team: ApiCaller, machine: Machine) -> None:
    team.put("/agents/render-07", paused=True)
    assert (machine.beat()["paused"], list_agents(team)["render-07"]["paused"]) == (True, True)
    team.put("/agents/render-07", paused=True)
    team.put("/agents/render-07", paused=False)
    assert machine.beat()["paused"] is False
    assert list_agent_events(team) == ["agent.first_seen", "agent.paused", "agent.resumed"]


def test_approve_removal_applies_to_the_waiting_files_only(team: ApiCaller, machine: Machine) -> None:
    refused = team.post("/agents/render-07/approve-removal")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "removal_not_waiting")
    machine.beat(removal_waiting=12, removal_token=TOKEN)
    assert list_agents(team)["render-07"]["removal_waiting"] == 12
    assert team.post("/agents/render-07/approve-removal").status_code == 200
    held_removal = {"removal_waiting": 12, "removal_token": TOKEN}
    assert [machine.beat(**held_removal)["approved_removal"] for _ in range(2)] == [TOKEN, TOKEN]
    assert machine.beat(removal_waiting=5000, removal_token=OTHER_TOKEN)["approved_removal"] is None
    assert machine.beat(**held_removal)["approved_removal"] is None
    assert list_agent_events(team) == ["agent.first_seen", "agent.removal_approved"]


def test_approve_removal_of_other_files_than_those_shown_returns_409(team: ApiCaller, machine: Machine) -> None:
    machine.beat(removal_waiting=3, removal_token=TOKEN)
    shown = list_agents(team)["render-07"]["removal_token"]
    machine.beat(removal_waiting=400, removal_token=OTHER_TOKEN)
    refused = team.post("/agents/render-07/approve-removal", removal_token=shown)
    assert (refused.status_code, refused.json()["error_code"]) == (409, "removal_changed")
    assert refused.json()["removal_waiting"] == 400
    now_waiting = {"removal_waiting": 400, "removal_token": OTHER_TOKEN}
    assert machine.beat(**now_waiting)["approved_removal"] is None
    assert team.post("/agents/render-07/approve-removal", removal_token=OTHER_TOKEN).status_code == 200
    assert machine.beat(**now_waiting)["approved_removal"] == OTHER_TOKEN


def test_approve_removal_with_invalid_token_or_unknown_field_returns_422(team: ApiCaller, machine: Machine) -> None:
    machine.beat(removal_waiting=3, removal_token=TOKEN)
    for body in ({"removal_token": "three"}, {"removal_token": ""}, {"removal_token": None}, {"token": TOKEN}):
        refused = team.post("/agents/render-07/approve-removal", **body)
        assert (refused.status_code, refused.json()["error_code"]) == (422, "invalid_request"), body
        assert [error["field"] for error in refused.json()["errors"]] == [*body]
    assert machine.beat(removal_waiting=3, removal_token=TOKEN)["approved_removal"] is None


def test_heartbeat_returns_a_requested_sync_once(team: ApiCaller, machine: Machine) -> None:
    assert team.post("/agents/render-07/sync").status_code == 200
    assert [machine.beat()["sync_now"] for _ in range(2)] == [True, False]


def test_remove_agent_deletes_its_states_and_counts(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, "one")
    machine.begin(build_states(model_id))
    assert get_replica_counts(team, model_id) == (1, 1)
    assert team.delete("/agents/render-07").status_code == 204
    assert (list_agents(team), get_replica_counts(team, model_id), list_missing(team)) == ({}, (0, 0), [])
    assert machine.manifest().json()["error_code"] == "agent_unknown"
    machine.beat()
    assert list(list_agents(team)) == ["render-07"]
    assert list_agent_events(team) == ["agent.first_seen", "agent.forgotten", "agent.first_seen"]


def test_list_models_on_agent_filters_by_state_and_pages(team: ApiCaller, machine: Machine) -> None:
    ids = [register_model(team, word) for word in ("one", "two", "three", "four")]
    machine.begin([*build_states(ids[0]), *build_states(ids[1], state="failed", reason="The disk is full.")])
    assert list_states_on(team) == dict(zip(ids, ("ready", "failed", "queued", "queued"), strict=True))
    assert list_states_on(team, state="failed") == {ids[1]: "failed"}
    assert list(list_states_on(team, state="queued")) == [ids[3], ids[2]]
    first = team.get("/agents/render-07/models", per_page=3, cursor="").json()
    second = team.get("/agents/render-07/models", per_page=3, cursor=first["page_meta"]["next_cursor"]).json()
    pages = [entry["model_id"] for page in (first, second) for entry in page["agent_model_list"]]
    assert pages == ids[::-1]
    [failed] = team.get("/agents/render-07/models", state="failed").json()["agent_model_list"]
    assert (failed["reason"], failed["agent_id"]) == ("The disk is full.", "render-07")
    assert team.get("/agents/render-07/models", state="perhaps").status_code == 422


def test_list_agents_of_model_has_the_machines_that_should_hold_it(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, "one", required_labels=["gpu24"])
    big, silent = (Machine(machine.key, name, ("gpu24", "north")) for name in ("big", "silent"))
    silent.beat()
    big.begin(build_states(model_id))
    rows = team.get(f"/models/{model_id}/agents").json()["agent_model_list"]
    assert [(row["agent_id"], row["state"]) for row in rows] == [("big", "ready"), ("silent", "queued")]
    assert [row["reported_at"] is None for row in rows] == [False, True]
    team.put(f"/models/{model_id}", model_status="disabled")
    assert team.get(f"/models/{model_id}/agents").json()["agent_model_list"] == []


@pytest.mark.parametrize("name", ["nobody", "a b", "%00", "x" * 65])
def test_agent_routes_with_unknown_name_return_404(team: ApiCaller, machine: Machine, name: str) -> None:
    for method, path, body in (
        ("GET", f"/agents/{name}/models", None),
        ("PUT", f"/agents/{name}", {"paused": True}),
        ("POST", f"/agents/{name}/sync", None),
        ("POST", f"/agents/{name}/approve-removal", None),
        ("DELETE", f"/agents/{name}", None),
    ):
        refused = team.call(method, path, json=body)
        assert (refused.status_code, refused.json()["error_code"]) == (404, "agent_not_found")


def test_agent_routes_of_another_team_return_404(shared_registry: Harness, team: ApiCaller, machine: Machine) -> None:
    other_team = shared_registry.create_team()
    assert list_agents(other_team) == {}
    assert other_team.put("/agents/render-07", paused=True).status_code == 404
    assert other_team.delete("/agents/render-07").status_code == 404
    assert list(list_agents(team)) == ["render-07"]
