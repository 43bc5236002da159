"""Machines that list the team's models and assign some to themselves."""

from typing import Any
from uuid import uuid4

import pytest

from modelyard.wire.agent_requests.models import MAX_REQUESTED_MODELS
from tests.server.agents.machine import Machine, add_machine, build_states
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.previews.drawings import make_png

pytestmark = pytest.mark.slow


def register_labelled(team: ApiCaller, word: str = "ink", **changed: Any) -> str:
    """Register a model that requires a label, which no machine here has."""
    path = f"loras/{word}.safetensors"
    return team.register(make_model_file(word), path, required_labels=["gpu24"], **changed)


def request(machine: Machine, *model_ids: str) -> dict[str, Any]:
    answer = machine.key.post("/agent/requests", agent_id=machine.agent_id, model_ids=list(model_ids))
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def list_requestable(machine: Machine, **query: Any) -> list[dict[str, Any]]:
    answer = machine.key.get("/agent/models", agent_id=machine.agent_id, **query)
    assert answer.status_code == 200, answer.text
    models: list[dict[str, Any]] = answer.json()["model_list"]
    return models


def list_requests(team: ApiCaller) -> list[dict[str, Any]]:
    """Return the audit events of requests, newest first."""
    events: list[dict[str, Any]] = team.get("/audit-events", action="model.requested").json()["audit_event_list"]
    return events


def test_request_assigns_models_to_the_own_machine_and_records_who_asked(team: ApiCaller, machine: Machine) -> None:
    other = Machine(machine.key, "other")
    other.beat()
    ink, oil = register_labelled(team), register_labelled(team, "oil")
    etag = machine.manifest().headers["ETag"]
    assert request(machine, ink, ink, oil) == {"requested": [ink, oil], "pending": [], "refused": []}
    assert set(machine.desired()) == {"loras/ink.safetensors", "loras/oil.safetensors"}
    assert machine.manifest(etag).status_code == 200
    assert other.desired() == {}
    events = list_requests(team)
    assert {event["facts"]["model_path"] for event in events} == {"loras/ink.safetensors", "loras/oil.safetensors"}
    assert {(event["actor_kind"], event["facts"]["agent_id"]) for event in events} == {("agent", "render-07")}


def test_request_repeated_gives_the_same_result_and_is_recorded_once(team: ApiCaller, machine: Machine) -> None:
    ink = register_labelled(team)
    assert request(machine, ink) == request(machine, ink) == {"requested": [ink], "pending": [], "refused": []}
    assert len(list_requests(team)) == 1


def test_request_of_models_that_cannot_be_had_names_each_and_assigns_the_others(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    ink, gone, off = register_labelled(team), register_labelled(team, "gone"), register_labelled(team, "off")
    foreign = shared_registry.create_team().register(make_model_file("foreign"), "loras/foreign.safetensors")
    unknown = str(uuid4())
    team.delete(f"/models/{gone}")
    team.put(f"/models/{off}", model_status="disabled")
    result = request(machine, gone, ink, off, foreign, unknown)
    assert result["requested"] == [ink]
    assert [refused["id"] for refused in result["refused"]] == [gone, off, foreign, unknown]
    reasons = {refused["id"]: refused["problem"] for refused in result["refused"]}
    assert reasons[gone] == reasons[foreign] == reasons[unknown]
    assert "disabled" in reasons[off]
    assert set(machine.desired()) == {"loras/ink.safetensors"}


def test_request_with_no_or_too_many_models_returns_422(machine: Machine) -> None:
    for count in (0, MAX_REQUESTED_MODELS + 1):
        ids = [str(uuid4()) for _ in range(count)]
        answer = machine.key.post("/agent/requests", agent_id="render-07", model_ids=ids)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "model_ids")


def test_request_for_another_machine_returns_a_problem(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    ink = register_labelled(team)
    stranger = add_machine(shared_registry, team, "render-08")
    answers = [
        machine.key.post("/agent/requests", agent_id="render-08", model_ids=[ink]),
        machine.key.post("/agent/requests", agent_id="unknown", model_ids=[ink]),
        machine.key.get("/agent/models", agent_id="render-08"),
    ]
    assert [answer.json()["error_code"] for answer in answers] == ["agent_unknown"] * 3
    assert stranger.desired() == {}


def test_requests_of_machines_that_the_team_does_not_allow_return_403(team: ApiCaller, machine: Machine) -> None:
    ink = register_labelled(team)
    assert team.put("/teams/current", machines_may_request=False).status_code == 200
    answers = [
        machine.key.post("/agent/requests", agent_id="render-07", model_ids=[ink]),
        machine.key.get("/agent/models", agent_id="render-07"),
    ]
    assert [(answer.status_code, answer.json()["error_code"]) for answer in answers] == [
        (403, "machine_requests_off")
    ] * 2
    assert machine.desired() == {}
    assert team.put("/teams/current", machines_may_request=None).status_code == 200
    assert team.get("/teams/current").json()["machines_may_request"] is True
    assert request(machine, ink)["requested"] == [ink]


def test_list_shows_available_models_with_their_states_on_the_machine(team: ApiCaller, machine: Machine) -> None:
    ink, oil = register_labelled(team), register_labelled(team, "oil")
    pen = team.register(make_model_file("pen"), "checkpoints/pen.safetensors", model_type="checkpoints")
    off = register_labelled(team, "off")
    team.put(f"/models/{off}", model_status="disabled")
    assert {model["id"]: model["state"] for model in list_requestable(machine)} == {
        pen: "queued",
        oil: "absent",
        ink: "absent",
    }
    request(machine, ink)
    machine.begin(build_states(pen, ink, state="ready"))
    assert {model["id"]: model["state"] for model in list_requestable(machine)} == {
        pen: "ready",
        oil: "absent",
        ink: "ready",
    }
    [found] = list_requestable(machine, q="oil")
    assert (found["id"], found["model_path"]) == (oil, "loras/oil.safetensors")
    assert [model["id"] for model in list_requestable(machine, model_type="checkpoints")] == [pen]


def test_list_with_cursor_returns_each_model_once(team: ApiCaller, machine: Machine) -> None:
    ids = {register_labelled(team, f"ink{number}") for number in range(3)}
    query = {"agent_id": "render-07", "per_page": 2}
    first = machine.key.get("/agent/models", **query, cursor="").json()
    second = machine.key.get("/agent/models", **query, cursor=first["page_meta"]["next_cursor"]).json()
    assert [len(page["model_list"]) for page in (first, second)] == [2, 1]
    assert {model["id"] for page in (first, second) for model in page["model_list"]} == ids
    assert second["page_meta"]["next_cursor"] is None


def test_machine_sees_pictures_of_models_that_it_may_request(team: ApiCaller, machine: Machine) -> None:
    ink = register_labelled(team)
    team.call("PUT", f"/models/{ink}/versions/1/preview", content=make_png("#aa5500", (80, 100)))
    [model] = list_requestable(machine)
    path = f"/previews/{model['preview_sha256']}"
    assert machine.key.get(path).status_code == 200
    team.put("/teams/current", machines_may_request=False)
    assert machine.key.get(path).status_code == 404
