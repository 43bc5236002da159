"""Changes of models by ``PUT``: fields, paths, ETags, and refusals."""

from typing import Any
from uuid import uuid4

import pytest

from tests.server.harness import ApiCaller, Harness, make_model_file

CONTENT = make_model_file()
NOTES: dict[str, Any] = {
    "description": "house style",
    "tags": ["ink"],
    "license": "MIT",
    "source_url": "https://models.example/1",
    "required_labels": ["gpu24"],
}


def test_change_one_field_leaves_the_others(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, **NOTES)
    before = team.get(f"/models/{model_id}").json()
    answer = team.put(f"/models/{model_id}", display_name="New")
    assert (answer.status_code, answer.json()) == (200, {"id": model_id})
    after = team.get(f"/models/{model_id}").json()
    assert {name for name in after if after[name] != before[name]} == {"display_name", "updated_at"}
    assert after["updated_at"] > before["updated_at"]


@pytest.mark.parametrize("field", ["display_name", "model_type", "model_path", "model_status"])
def test_change_name_type_path_or_status_to_null_returns_422(team: ApiCaller, field: str) -> None:
    model_id = team.register(CONTENT)
    refused = team.put(f"/models/{model_id}", **{field: None})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize("field", NOTES)
def test_change_note_field_to_null_clears_it(team: ApiCaller, field: str) -> None:
    model_id = team.register(CONTENT, **NOTES)
    assert team.put(f"/models/{model_id}", **{field: None}).status_code == 200
    cleared = team.get(f"/models/{model_id}").json()
    assert cleared[field] == ([] if isinstance(NOTES[field], list) else None)
    assert {name: cleared[name] for name in NOTES if name != field} == {
        name: value for name, value in NOTES.items() if name != field
    }


def test_change_content_fields_or_id_is_ignored(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    before = team.get(f"/models/{model_id}").json()
    team.put(
        f"/models/{model_id}", file_hash="sha256:" + "0" * 64, file_size=1, storage_key="models/x", id=str(uuid4())
    )
    assert team.get(f"/models/{model_id}").json() == before


def test_change_tags_updates_tag_filter_and_search(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, tags=["old"])
    team.put(f"/models/{model_id}", tags=["new", "new"])
    assert team.get(f"/models/{model_id}").json()["tags"] == ["new"]
    for query in ("tag", "q"):
        assert team.get("/models", **{query: "old"}).json()["model_list"] == []
        assert len(team.get("/models", **{query: "new"}).json()["model_list"]) == 1


def test_change_tags_keeping_one_finds_the_model_by_both(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, tags=["old"])
    assert team.put(f"/models/{model_id}", tags=["new", "old"]).status_code == 200
    for tag in ("new", "old"):
        assert len(team.get("/models", tag=tag).json()["model_list"]) == 1


def test_change_name_and_path_updates_search(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    team.put(f"/models/{model_id}", display_name="Quill", model_path="loras/quill.safetensors")
    assert team.get("/models", q="ink").json()["model_list"] == []
    assert len(team.get("/models", q="quill").json()["model_list"]) == 1


def test_change_path_frees_the_old_path(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    assert team.put(f"/models/{model_id}", model_path="loras/moved.safetensors").status_code == 200
    team.register(make_model_file("other"))


def test_change_case_of_path_succeeds(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    assert team.put(f"/models/{model_id}", model_path="models/loras/INK.safetensors").status_code == 200


def test_change_path_to_taken_one_returns_409_and_changes_nothing(team: ApiCaller) -> None:
    other_id = team.register(CONTENT, "loras/taken.safetensors")
    model_id = team.register(make_model_file("other"))
    refused = team.put(f"/models/{model_id}", display_name="lost?", model_path="loras/TAKEN.safetensors")
    problem = refused.json()
    assert (refused.status_code, problem["error_code"], problem["model_id"]) == (409, "model_path_taken", other_id)
    assert problem["moved_id"] == model_id
    assert team.get(f"/models/{model_id}").json()["display_name"] == "ink.safetensors"


def test_change_type_without_matching_path_returns_422(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    refused = team.put(f"/models/{model_id}", model_type="vae")
    assert (refused.status_code, refused.json()["error_code"]) == (422, "model_path_refused")
    assert team.put(f"/models/{model_id}", model_type="vae", model_path="vae/ink.safetensors").status_code == 200
    assert len(team.get("/models", model_type="vae").json()["model_list"]) == 1


@pytest.mark.parametrize(
    "path",
    [
        "loras/../x.safetensors",
        "loras/con.safetensors",
        "loras/in\u3164k.safetensors",
        "loras/x.py",
        "loras/x.ckpt",
        "x",
    ],
    ids=ascii,
)
def test_change_path_to_invalid_one_returns_422(team: ApiCaller, path: str) -> None:
    model_id = team.register(CONTENT)
    refused = team.put(f"/models/{model_id}", model_path=path)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "model_path_refused")
    assert refused.json()["errors"][0]["field"] == "model_path"


def test_change_path_to_other_extension_of_the_same_format_succeeds(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    assert team.put(f"/models/{model_id}", model_path="loras/ink.SFT").status_code == 200


def test_change_or_delete_with_stale_etag_returns_412_and_with_current_etag_succeeds(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    etag = team.get(f"/models/{model_id}").headers["ETag"]
    changed = _put(team, model_id, etag, description="one")
    assert changed.status_code == 200
    assert changed.headers["ETag"] == team.get(f"/models/{model_id}").headers["ETag"] != etag

    stale = _put(team, model_id, etag, description="two")
    problem = stale.json()
    assert (stale.status_code, problem["error_code"]) == (412, "record_stale")
    assert problem["etag"] == changed.headers["ETag"]
    assert team.call("DELETE", f"/models/{model_id}", headers={"If-Match": etag}).status_code == 412
    assert team.get(f"/models/{model_id}").json()["description"] == "one"


@pytest.mark.parametrize("matches", ["*", '"0", {etag}', '{etag} , "x"'])
def test_change_with_if_match_star_or_list_succeeds(team: ApiCaller, matches: str) -> None:
    model_id = team.register(CONTENT)
    etag = team.get(f"/models/{model_id}").headers["ETag"]
    assert _put(team, model_id, matches.format(etag=etag), description="one").status_code == 200


@pytest.mark.parametrize("mismatch", ["1", 'W/"1"', '""', "", "x" * 5000])
def test_change_with_malformed_or_weak_if_match_returns_412(team: ApiCaller, mismatch: str) -> None:
    model_id = team.register(CONTENT)
    assert _put(team, model_id, mismatch, description="one").status_code == 412


def test_change_to_equal_values_keeps_the_etag(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    etag = team.get(f"/models/{model_id}").headers["ETag"]
    assert team.put(f"/models/{model_id}", display_name="ink.safetensors").headers["ETag"] == etag
    assert team.put(f"/models/{model_id}").headers["ETag"] == etag


def test_read_change_or_delete_foreign_model_returns_the_same_404_as_unknown_id(
    shared_registry: Harness, team: ApiCaller
) -> None:
    foreign = shared_registry.create_team().register(CONTENT)
    for method in ("GET", "PUT", "DELETE"):
        answers = [team.call(method, f"/models/{model_id}", json={}) for model_id in (foreign, str(uuid4()), "no-id")]
        assert {answer.status_code for answer in answers} == {404}
        assert len({str(answer.json() | {"request_id": ""}) for answer in answers}) == 1


def _put(team: ApiCaller, model_id: str, if_match: str, **body: Any) -> Any:
    return team.call("PUT", f"/models/{model_id}", json=body, headers={"If-Match": if_match})
