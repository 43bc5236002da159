"""Names that people choose: what cannot be read is refused on every route, and rows that have such names still work."""

from typing import Any
from uuid import UUID

import pytest

from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.tables import TeamRow
from tests.server.harness import ApiCaller, Harness, make_model_file

CONTENT = make_model_file()
TAGS = "\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
UNREADABLE = ["   ", "\u200d", TAGS, "\U000e0100", "a\u202eb", "\u2066a\u2069", "a\nb", "a\x85b"]
READABLE = ["می\u200cخواهم", "👩\u200d🚀", "❤\ufe0f", f"🏴{TAGS}"]
NAMES = pytest.mark.parametrize("name", UNREADABLE, ids=ascii)
FIELDS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("POST", "/teams", "display_name", {}),
    ("PUT", "/teams/current", "display_name", {}),
    ("POST", "/credentials", "display_name", {"kind": "agent"}),
    ("POST", "/desktop/pair/confirm", "device_name", {"user_code": "AB7K-PNQ3"}),
    ("POST", "/invitations/accept", "first_name", {"invitation_token": "none"}),
    ("POST", "/invitations/accept", "last_name", {"invitation_token": "none"}),
    ("PUT", "/agents/render-01", "agent_labels", {}),
    ("POST", "/collections", "name", {"model_list": []}),
    ("PUT", "/users/me", "first_name", {}),
    ("PUT", "/users/me", "last_name", {}),
    ("POST", "/agent/heartbeat", "agent_id", {}),
    ("POST", "/agent/heartbeat", "agent_labels", {"agent_id": "render-01"}),
]


@pytest.fixture
def team(shared_registry: Harness) -> ApiCaller:
    return shared_registry.create_team()


def list_error_fields(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.text
    assert answer.json()["error_code"] == "invalid_request"
    return [error["field"] for error in answer.json()["errors"]]


@NAMES
@pytest.mark.parametrize("route", FIELDS, ids=[f"{each[1]} {each[2]}" for each in FIELDS])
def test_request_unreadable_name_returns_422_naming_the_field(
    shared_registry: Harness, team: ApiCaller, route: tuple[str, str, str, dict[str, Any]], name: str
) -> None:
    method, path, field, others = route
    caller = shared_registry.create_key("agent", team) if path.startswith("/agent/") else team
    value = [name] if field.endswith("labels") else name
    refused = caller.call(method, path, json=others | {field: value})
    assert list_error_fields(refused)[0].split(".")[0] == field


@NAMES
def test_model_unreadable_name_or_tag_returns_422_in_registration_and_change(team: ApiCaller, name: str) -> None:
    new = team.new_model(CONTENT)
    assert list_error_fields(team.post("/models", **new | {"display_name": name})) == ["display_name"]
    assert list_error_fields(team.post("/models", **new, tags=["a", name])) == ["tags.1"]
    model_id = team.register(CONTENT)
    assert list_error_fields(team.put(f"/models/{model_id}", display_name=name)) == ["display_name"]
    assert list_error_fields(team.put(f"/models/{model_id}", tags=[name])) == ["tags.0"]


@pytest.mark.parametrize("name", READABLE, ids=ascii)
def test_name_with_joiners_variation_selectors_or_tags_is_stored_as_sent(team: ApiCaller, name: str) -> None:
    model = team.get(f"/models/{team.register(CONTENT, display_name=name, tags=[name])}").json()
    assert (model["display_name"], model["tags"]) == (name, [name])
    assert team.put("/teams/current", display_name=name).status_code == 200
    assert team.get("/teams/current").json()["display_name"] == name
    assert team.post("/credentials", kind="agent", display_name=name).status_code == 201
    keys = team.get("/credentials").json()["credentials"]
    assert name in [key["display_name"] for key in keys]


def test_rows_with_unreadable_names_are_returned_listed_and_changed(shared_registry: Harness, team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    odd = "a\u202eb"
    with shared_registry.resources.database.writing(UUID(team.team_id)) as session:
        model, row = session.get(ModelRow, UUID(model_id)), session.get(TeamRow, UUID(team.team_id))
        assert model is not None
        assert row is not None
        model.display_name, model.tags, row.display_name = odd, [odd], odd

    assert team.get(f"/models/{model_id}").json()["tags"] == [odd]
    assert [model["display_name"] for model in team.get("/models").json()["model_list"]] == [odd]
    assert team.get("/teams/current").json()["display_name"] == odd
    assert team.put(f"/models/{model_id}", license="MIT").status_code == 200
    assert team.put(f"/models/{model_id}", display_name="Ink", tags=[]).status_code == 200
