"""Versions of a model: listed, annotated, activated, deleted and restored."""

from typing import Any

import pytest

from tests.server.harness import ApiCaller, hash_of, make_model_file

CONTENTS = [make_model_file(f"version {number}", 100 + number) for number in range(1, 4)]


@pytest.fixture
def model_id(team: ApiCaller) -> str:
    """A model with three versions, of which the last is current."""
    model_id = team.register(CONTENTS[0])
    for content in CONTENTS[1:]:
        team.register(content, replaces=model_id)
    return model_id


def list_versions(team: ApiCaller, model_id: str, **query: Any) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = team.get(f"/models/{model_id}/versions", **query).json()["version_list"]
    return listed


def get_error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


def test_list_versions_newest_first_with_state_size_hash_and_creator(team: ApiCaller, model_id: str) -> None:
    listed = list_versions(team, model_id)
    assert [(version["version"], version["version_status"]) for version in listed] == [
        (3, "current"),
        (2, "replaced"),
        (1, "replaced"),
    ]
    assert [(version["file_size"], version["file_hash"]) for version in reversed(listed)] == [
        (len(content), hash_of(content)) for content in CONTENTS
    ]
    assert {version["created_by"]["kind"] for version in listed} == {"user"}
    assert all(version["metadata"]["format"] == "safetensors" for version in listed)


def test_list_versions_by_cursor_returns_each_once(team: ApiCaller, model_id: str) -> None:
    cursor: str | None = ""
    numbers = list[int]()
    while cursor is not None:
        page = team.get(f"/models/{model_id}/versions", cursor=cursor, per_page=2).json()
        numbers += [version["version"] for version in page["version_list"]]
        cursor = page["page_meta"]["next_cursor"]
    assert numbers == [3, 2, 1]


@pytest.mark.parametrize("version", ["0", "4", "-1", "1.0", "one", "999999999999", "%20"])
def test_unknown_version_returns_404(team: ApiCaller, model_id: str, version: str) -> None:
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/activate"), ("POST", "/restore")):
        body = {"json": {"note": "x"}} if method == "PUT" else {}
        answer = team.call(method, f"/models/{model_id}/versions/{version}{path}", **body)
        assert get_error(answer) == (404, "version_not_found"), (method, path)


@pytest.mark.parametrize("version", ["0", "one", "1.5", "10000000000"])
def test_download_with_invalid_version_returns_422(team: ApiCaller, model_id: str, version: str) -> None:
    refused = team.get(f"/models/{model_id}/download", version=version)
    assert get_error(refused) == (422, "invalid_request")
    assert [error["field"] for error in refused.json()["errors"]] == ["version"]


def test_activate_older_version_makes_it_current_and_newer_one_replaced(team: ApiCaller, model_id: str) -> None:
    etag = team.get(f"/models/{model_id}").headers["ETag"]
    assert team.post(f"/models/{model_id}/versions/1/activate").json() == {"is_success": True}
    model = team.get(f"/models/{model_id}")
    assert (model.json()["version"], model.json()["file_hash"]) == (1, hash_of(CONTENTS[0]))
    assert model.headers["ETag"] != etag
    assert [version["version_status"] for version in list_versions(team, model_id)] == [
        "replaced",
        "replaced",
        "current",
    ]
    assert team.post(f"/models/{model_id}/versions/3/activate").status_code == 200
    assert team.get(f"/models/{model_id}").json()["version"] == 3


def test_activate_current_version_changes_nothing(team: ApiCaller, model_id: str) -> None:
    before = team.get(f"/models/{model_id}")
    assert team.post(f"/models/{model_id}/versions/3/activate").status_code == 200
    after = team.get(f"/models/{model_id}")
    assert (after.json(), after.headers["ETag"]) == (before.json(), before.headers["ETag"])


def test_push_after_activating_an_older_version_gets_the_next_number(team: ApiCaller, model_id: str) -> None:
    team.post(f"/models/{model_id}/versions/1/activate")
    team.register(make_model_file("next"), replaces=model_id, expected_version=3)
    assert team.get(f"/models/{model_id}").json()["version"] == 4


def test_update_version_sets_and_clears_its_note(team: ApiCaller, model_id: str) -> None:
    path = f"/models/{model_id}/versions/2"
    assert team.put(path, note="Trained\nlonger.").json() == {"id": model_id}
    assert team.get(path).json()["note"] == "Trained\nlonger."
    assert team.put(path).json() == {"id": model_id}
    assert team.get(path).json()["note"] == "Trained\nlonger."
    team.put(path, note=None)
    assert team.get(path).json()["note"] is None


def test_delete_version_lists_it_in_the_trash_until_it_is_restored(team: ApiCaller, model_id: str) -> None:
    path = f"/models/{model_id}/versions/2"
    assert team.delete(path).status_code == 204
    assert [version["version"] for version in list_versions(team, model_id)] == [3, 1]
    assert team.get(f"/models/{model_id}").json()["version_count"] == 2
    [deleted] = list_versions(team, model_id, deleted="true")
    assert deleted["version"] == 2
    assert deleted["restorable_until"] > deleted["deleted_at"]
    assert get_error(team.get(path)) == (404, "version_not_found")
    assert get_error(team.post(f"{path}/activate")) == (404, "version_not_found")
    assert team.post(f"{path}/restore").json() == {"is_success": True}
    assert [version["version"] for version in list_versions(team, model_id)] == [3, 2, 1]


def test_delete_current_version_returns_409(team: ApiCaller, model_id: str) -> None:
    assert get_error(team.delete(f"/models/{model_id}/versions/3")) == (409, "version_in_use")


def test_list_models_by_hash_finds_the_current_version(team: ApiCaller, model_id: str) -> None:
    listed = team.get("/models", file_hash=hash_of(CONTENTS[2])).json()["model_list"]
    assert [model["id"] for model in listed] == [model_id]


def test_quota_counts_content_of_two_versions_once(team: ApiCaller, model_id: str) -> None:
    before = team.get("/teams/current").json()["stored_bytes"]
    team.register(CONTENTS[0], replaces=model_id)
    assert len(list_versions(team, model_id)) == 4
    assert team.get("/teams/current").json()["stored_bytes"] == before == sum(map(len, CONTENTS))


def test_update_team_sets_retention_and_null_restores_the_defaults(team: ApiCaller) -> None:
    assert team.put("/teams/current", kept_versions=2, kept_version_days=7).status_code == 200
    settings = team.get("/teams/current").json()
    assert (settings["kept_versions"], settings["kept_version_days"]) == (2, 7)
    team.put("/teams/current", kept_versions=None, kept_version_days=None)
    settings = team.get("/teams/current").json()
    assert (settings["kept_versions"], settings["kept_version_days"]) == (5, 30)


@pytest.mark.parametrize(("field", "value"), [("kept_versions", 0), ("kept_version_days", -1), ("kept_versions", "5")])
def test_update_team_invalid_retention_returns_422(team: ApiCaller, field: str, value: object) -> None:
    refused = team.put("/teams/current", **{field: value})
    assert [error["field"] for error in refused.json()["errors"]] == [field]
