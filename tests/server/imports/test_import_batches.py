"""``POST /imports/start-batch``: several files of one draft, each an import with its own result."""

from typing import Any

import pytest

from tests.server.harness import ApiCaller, make_model_file
from tests.server.imports.calls import confirm, wait
from tests.server.imports.fake_sources import FakeSources

pytestmark = pytest.mark.slow


@pytest.fixture
def chosen(team: ApiCaller, fakes: FakeSources) -> list[dict[str, Any]]:
    """The bodies that import all three files of a repository."""
    fakes.huggingface.files["vae/clear.safetensors"] = make_model_file("vae")
    fakes.huggingface.files["large.safetensors"] = make_model_file("large", 5_000)
    draft = team.post("/imports/resolve", url=f"{fakes.huggingface_url}/studio/ink").json()
    return [confirm(draft, **choose(file)) for file in draft["file_list"]]


def choose(file: dict[str, Any]) -> dict[str, Any]:
    """Return what an import of this file of a draft has of its own."""
    path = f"{file['model_type']}/{file['file_name']}"
    size_and_hash = {"file_size": file["size"], "file_hash": file["sha256"]}
    return {"url": file["url"], "model_type": file["model_type"], "model_path": path} | size_and_hash


def start_batch(caller: ApiCaller, *imports: Any) -> list[dict[str, Any]]:
    answer = caller.post("/imports/start-batch", import_list=imports)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["result_list"]
    return results


def test_start_batch_of_files_of_a_draft_imports_each(team: ApiCaller, chosen: list[dict[str, Any]]) -> None:
    results = start_batch(team, *chosen)
    assert [result["status"] for result in results] == [201, 201, 201]
    done = [wait(team, result["id"]) for result in results]
    assert [each["model_path"] for each in done] == [body["model_path"] for body in chosen]
    assert len({each["model_id"] for each in done}) == 3
    started = team.get("/audit-events", action="import.started").json()["audit_event_list"]
    assert {event["object_id"] for event in started} == {result["id"] for result in results}


def test_start_batch_refused_items_say_why_and_the_others_start(team: ApiCaller, chosen: list[dict[str, Any]]) -> None:
    team.register(make_model_file("own"), chosen[1]["model_path"])
    refused: list[Any] = [
        chosen[1],
        chosen[0] | {"model_path": "../escape.safetensors"},
        chosen[0] | {"url": "ftp://models.example/ink.safetensors"},
        {"display_name": "only this"},
        "no object",
    ]
    *problems, started = start_batch(team, *refused, chosen[0])
    assert [(problem["status"], problem["error_code"]) for problem in problems] == [
        (409, "model_path_taken"),
        (422, "model_path_refused"),
        (422, "link_refused"),
        (422, "invalid_request"),
        (422, "invalid_request"),
    ]
    single = team.post("/imports", **refused[0])
    assert {**single.json(), "request_id": None} == {**problems[0], "request_id": None}
    assert started["status"] == 201
    wait(team, started["id"])
    assert len(team.get("/imports").json()["import_list"]) == 1


def test_start_batch_quota_counts_for_each_item(team: ApiCaller, chosen: list[dict[str, Any]]) -> None:
    team.put("/teams/current", quota_bytes=4_500)
    results = start_batch(team, *chosen)
    refused = [body["model_path"] for body, result in zip(chosen, results, strict=True) if result["status"] == 403]
    assert refused == ["loras/large.safetensors"]
    for result in results:
        if result["status"] == 201:
            wait(team, result["id"])


def test_start_batch_repeated_returns_the_running_imports(
    team: ApiCaller, fakes: FakeSources, chosen: list[dict[str, Any]]
) -> None:
    fakes.storage.pause()
    first, again = start_batch(team, *chosen), start_batch(team, *chosen)
    fakes.storage.resume()
    assert [result["status"] for result in again] == [200, 200, 200]
    assert [result["id"] for result in again] == [result["id"] for result in first]
    for result in first:
        wait(team, result["id"])


@pytest.mark.parametrize("items", [[], [{}] * 101, {}, None, "x"])
def test_start_batch_of_none_or_more_than_100_imports_is_refused_with_the_fields_name(
    team: ApiCaller, items: Any
) -> None:
    answer = team.post("/imports/start-batch", import_list=items)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "import_list")
