"""Machines as people see them, and what people tell them."""

from typing import Any

import pytest

from tests.server.agents.machine import Machine, agents, counts, events, machine_of, missing, ready, states_on
from tests.server.world import Someone, World, a_model_file

TOKEN, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def machine(shared_world: World, team: Someone) -> Machine:
    return machine_of(shared_world, team)


def model(team: Someone, word: str, **changed: Any) -> str:
    return team.register(a_model_file(word), f"loras/{word}.safetensors", **changed)


def test_the_list_is_in_the_order_of_names_and_read_by_page_or_cursor(team: Someone, machine: Machine) -> None:
    for number in (9, 8, 10):
        Machine(machine.key, f"render-{number:02}").beat()
    names = ["render-07", "render-08", "render-09", "render-10"]
    assert list(agents(team)) == names
    page = team.get("/agents", per_page=3, current_page=2).json()
    assert [agent["agent_id"] for agent in page["agent_list"]] == names[3:]
    assert page["page_meta"]["total_count"] == 4
    first = team.get("/agents", per_page=3, cursor="").json()
    second = team.get("/agents", per_page=3, cursor=first["page_meta"]["next_cursor"]).json()
    assert [agent["agent_id"] for page in (first, second) for agent in page["agent_list"]] == names
    assert team.get("/agents", cursor="WyJcdTAwMDAiXQ").status_code == 422


def test_an_unchanged_list_is_not_sent_again(team: Someone, machine: Machine) -> None:
    etag = team.get("/agents").headers["ETag"]
    again = team.call("GET", "/agents", headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    machine.beat(sync_phase="scanning")
    assert team.call("GET", "/agents", headers={"If-None-Match": etag}).status_code == 200


def test_labels_given_here_add_to_the_machines_own(shared_world: World, team: Someone) -> None:
    machine = machine_of(shared_world, team, labels=("gpu24",))
    assert team.put("/agents/render-07", agent_labels=["night", "gpu24"]).status_code == 200
    shown = agents(team, label="night")["render-07"]
    assert (shown["agent_labels"], shown["central_labels"]) == (["gpu24", "night"], ["night", "gpu24"])
    machine.labels = ()
    machine.beat()
    assert agents(team)["render-07"]["agent_labels"] == ["gpu24", "night"]
    team.put("/agents/render-07", agent_labels=None)
    assert agents(team)["render-07"]["agent_labels"] == []
    assert agents(team, label="night") == {}
    assert events(team) == ["agent.first_seen", "agent.labelled", "agent.labelled"]


def test_a_paused_machine_is_told_so_until_it_may_go_on(team: Someone, machine: Machine) -> None:
    team.put("/agents/render-07", paused=True)
    assert (machine.beat()["paused"], agents(team)["render-07"]["paused"]) == (True, True)
    team.put("/agents/render-07", paused=True)
    team.put("/agents/render-07", paused=False)
    assert machine.beat()["paused"] is False
    assert events(team) == ["agent.first_seen", "agent.paused", "agent.resumed"]


def test_an_approval_is_for_the_files_that_waited_and_for_no_others(team: Someone, machine: Machine) -> None:
    refused = team.post("/agents/render-07/approve-removal")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "removal_not_waiting")
    machine.beat(removal_waiting=12, removal_token=TOKEN)
    assert agents(team)["render-07"]["removal_waiting"] == 12
    assert team.post("/agents/render-07/approve-removal").status_code == 200
    held = {"removal_waiting": 12, "removal_token": TOKEN}
    assert [machine.beat(**held)["approved_removal"] for _ in range(2)] == [TOKEN, TOKEN]
    assert machine.beat(removal_waiting=5000, removal_token=OTHER)["approved_removal"] is None
    assert machine.beat(**held)["approved_removal"] is None
    assert events(team) == ["agent.first_seen", "agent.removal_approved"]


def test_look_now_is_said_once(team: Someone, machine: Machine) -> None:
    assert team.post("/agents/render-07/sync").status_code == 200
    assert [machine.beat()["sync_now"] for _ in range(2)] == [True, False]


def test_a_forgotten_machine_leaves_nothing_behind(team: Someone, machine: Machine) -> None:
    one = model(team, "one")
    machine.begin(ready(one))
    assert counts(team, one) == (1, 1)
    assert team.delete("/agents/render-07").status_code == 204
    assert (agents(team), counts(team, one), missing(team)) == ({}, (0, 0), [])
    assert machine.manifest().json()["error_code"] == "agent_unknown"
    machine.beat()
    assert list(agents(team)) == ["render-07"]
    assert events(team) == ["agent.first_seen", "agent.forgotten", "agent.first_seen"]


def test_states_on_a_machine_can_be_narrowed_and_paged(team: Someone, machine: Machine) -> None:
    ids = [model(team, word) for word in ("one", "two", "three", "four")]
    machine.begin([*ready(ids[0]), *ready(ids[1], state="failed", reason="The disk is full.")])
    assert states_on(team) == dict(zip(ids, ("ready", "failed", "wanted", "wanted"), strict=True))
    assert states_on(team, state="failed") == {ids[1]: "failed"}
    assert list(states_on(team, state="wanted")) == [ids[3], ids[2]]
    first = team.get("/agents/render-07/models", per_page=3, cursor="").json()
    second = team.get("/agents/render-07/models", per_page=3, cursor=first["page_meta"]["next_cursor"]).json()
    pages = [entry["model_id"] for page in (first, second) for entry in page["agent_model_list"]]
    assert pages == ids[::-1]
    [failed] = team.get("/agents/render-07/models", state="failed").json()["agent_model_list"]
    assert (failed["reason"], failed["agent_id"]) == ("The disk is full.", "render-07")
    assert team.get("/agents/render-07/models", state="perhaps").status_code == 422


def test_the_machines_of_a_model_are_those_that_should_have_it(team: Someone, machine: Machine) -> None:
    one = model(team, "one", required_labels=["gpu24"])
    big, silent = (Machine(machine.key, name, ("gpu24", "north")) for name in ("big", "silent"))
    silent.beat()
    big.begin(ready(one))
    rows = team.get(f"/models/{one}/agents").json()["agent_model_list"]
    assert [(row["agent_id"], row["state"]) for row in rows] == [("big", "ready"), ("silent", "wanted")]
    assert [row["reported_at"] is None for row in rows] == [False, True]
    team.put(f"/models/{one}", model_status="disabled")
    assert team.get(f"/models/{one}/agents").json()["agent_model_list"] == []


@pytest.mark.parametrize("name", ["nobody", "a b", "%00", "x" * 65])
def test_a_name_that_no_machine_has_is_not_found(team: Someone, machine: Machine, name: str) -> None:
    for method, path, body in (
        ("GET", f"/agents/{name}/models", None),
        ("PUT", f"/agents/{name}", {"paused": True}),
        ("POST", f"/agents/{name}/sync", None),
        ("POST", f"/agents/{name}/approve-removal", None),
        ("DELETE", f"/agents/{name}", None),
    ):
        refused = team.call(method, path, json=body)
        assert (refused.status_code, refused.json()["error_code"]) == (404, "agent_not_found")


def test_another_teams_machine_does_not_exist(shared_world: World, team: Someone, machine: Machine) -> None:
    stranger = shared_world.new_team()
    assert agents(stranger) == {}
    assert stranger.put("/agents/render-07", paused=True).status_code == 404
    assert stranger.delete("/agents/render-07").status_code == 404
    assert list(agents(team)) == ["render-07"]
