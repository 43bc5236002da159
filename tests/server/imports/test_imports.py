"""Imports: the jobs that download a source's file and register it."""

from typing import Any
from uuid import UUID

import pytest

from modelyard.server.imports.running import list_other_fields
from modelyard.wire.imports.jobs import NewImport
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file
from tests.server.imports.calls import confirm, list_actions, start, wait
from tests.server.imports.conftest import PART
from tests.server.imports.fake_sources import FakeSources

pytestmark = pytest.mark.slow


def test_import_huggingface_file_becomes_a_verified_model(
    team: ApiCaller, fakes: FakeSources, link: str, large: bytes
) -> None:
    done = wait(team, start(team, link))
    assert (done["bytes_done"], done["file_size"], done["error"]) == (len(large), len(large), None)
    team.wait_until_verified(done["model_id"])
    model = team.get(f"/models/{done['model_id']}").json()
    assert (model["verification"], model["file_hash"], model["model_path"]) == (
        "verified",
        hash_of(large),
        "loras/ink.safetensors",
    )
    assert model["source_url"] == done["url"].replace("resolve", "blob")
    assert [word["text"] for word in model["trigger_words"]] == ["inkwash"]
    assert model["license"] == "cc-by-4.0"
    assert fakes.storage.ranges == [None]
    assert {"import.started", "model.registered"} <= set(list_actions(team))


def test_import_content_that_the_team_has_downloads_nothing(team: ApiCaller, fakes: FakeSources, link: str) -> None:
    team.register(fakes.huggingface.files["ink.safetensors"], "loras/own.safetensors")
    done = wait(team, start(team, link))
    assert done["model_id"] is not None
    assert fakes.storage.ranges == []


def test_import_next_version_that_keeps_the_name_does_not_undo_a_rename(
    team: ApiCaller, fakes: FakeSources, link: str, large: bytes
) -> None:
    model_id = team.register(make_model_file("old"), display_name="renamed")
    done = wait(team, start(team, link, display_name="read before", keeps_name=True, replaces=model_id))
    assert done["model_id"] == model_id
    model = team.get(f"/models/{model_id}").json()
    assert (model["version_count"], model["display_name"]) == (2, "renamed")


def test_import_repeated_request_returns_the_running_import(team: ApiCaller, fakes: FakeSources, link: str) -> None:
    fakes.storage.pause()
    draft = team.post("/imports/resolve", url=link).json()
    first = team.post("/imports", **confirm(draft))
    second = team.post("/imports", **confirm(draft, tags=[], required_labels=[], keeps_name=False, description=None))
    fakes.storage.resume()
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    wait(team, first.json()["id"])


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"tags": ["second"]}, "tags"),
        ({"description": "Other."}, "description"),
        ({"license": "MIT"}, "license"),
        ({"file_hash": None}, "file_hash"),
    ],
    ids=["tags", "description", "license", "hash"],
)
def test_import_of_running_link_with_other_details_returns_409_that_names_the_field(
    team: ApiCaller, fakes: FakeSources, link: str, changed: dict[str, Any], named: str
) -> None:
    fakes.storage.pause()
    draft = team.post("/imports/resolve", url=link).json()
    running = team.post("/imports", **confirm(draft, tags=["first"])).json()["id"]
    refused = team.post("/imports", **confirm(draft, **{"tags": ["first"]} | changed))
    again = team.post("/imports", **confirm(draft, tags=["first"]))
    assert (refused.status_code, refused.json()["error_code"]) == (409, "import_running")
    assert (refused.json()["field"], refused.json()["import_id"]) == ("model_path", running)
    assert refused.json()["other_fields"] == [named]
    assert (again.status_code, again.json()["id"]) == (200, running)
    assert len(team.get("/imports").json()["import_list"]) == 1
    fakes.storage.resume()
    assert team.get(f"/models/{wait(team, running)['model_id']}").json()["tags"] == ["first"]


def test_list_other_fields_empty_list_differs_from_absent_one_only_for_an_existing_model() -> None:
    names = {"url": "https://models.example/a", "display_name": "a", "model_type": "loras", "model_path": "loras/a.pt"}
    for replaces, other_fields in ((None, []), (UUID(int=1), ["tags"])):
        absent, empty = NewImport(**names, replaces=replaces), NewImport(**names, replaces=replaces, tags=[])
        assert list_other_fields(absent, empty) == other_fields


def test_import_of_link_that_another_person_imports_returns_409_that_names_them(
    module_registry: Harness, team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    fakes.storage.pause()
    member = module_registry.create_member("member", team)
    draft = team.post("/imports/resolve", url=link).json()
    running = team.post("/imports", **confirm(draft)).json()["id"]
    refused = member.post("/imports", **confirm(draft))
    batch = member.post("/imports/start-batch", import_list=[confirm(draft)]).json()["result_list"]
    other = member.post("/imports", **confirm(draft, tags=["second"]))
    elsewhere = start(member, link, model_path="loras/elsewhere.safetensors")
    fakes.storage.resume()
    record = team.get(f"/imports/{running}").json()
    assert (refused.status_code, refused.json()["error_code"]) == (409, "import_running")
    assert (refused.json()["import_id"], refused.json()["created_by"]) == (
        running,
        record["created_by"]["display_name"],
    )
    assert [(result["status"], result["error_code"], result["other_fields"]) for result in batch] == [
        (409, "import_running", [])
    ]
    assert (refused.json()["other_fields"], other.json()["other_fields"]) == ([], ["tags"])
    assert "or an admin to cancel it" in refused.json()["detail"]
    for import_id in (running, elsewhere):
        wait(team, import_id)


def test_import_connection_cut_continues_by_range(team: ApiCaller, fakes: FakeSources, link: str, large: bytes) -> None:
    fakes.storage.cut_after = [PART + 500, PART + 500]
    done = wait(team, start(team, link))
    team.wait_until_verified(done["model_id"])
    assert team.get(f"/models/{done['model_id']}").json()["file_hash"] == hash_of(large)
    assert fakes.storage.ranges == [None, f"bytes={PART + 500}-", f"bytes={2 * PART + 1000}-"]


def test_import_source_changed_between_two_ranges_starts_anew(
    team: ApiCaller, fakes: FakeSources, large: bytes
) -> None:
    content = make_model_file("other", 2 * PART + 1000)

    def change() -> None:
        fakes.storage.etag, fakes.storage.file = '"second"', content

    fakes.storage.file, fakes.storage.cut_after, fakes.storage.on_cut = large, [PART + 500], change
    done = wait(team, start(team, f"{fakes.storage.server.address}/file/ink.safetensors"))
    team.wait_until_verified(done["model_id"])
    model = team.get(f"/models/{done['model_id']}").json()
    assert (model["verification"], model["file_hash"]) == ("verified", hash_of(content))


def test_import_source_without_etag_starts_anew(team: ApiCaller, fakes: FakeSources, link: str, large: bytes) -> None:
    fakes.storage.etag, fakes.storage.cut_after = None, [PART + 500]
    done = wait(team, start(team, link))
    assert done["file_size"] == len(large)
    assert fakes.storage.ranges == [None, None]


def test_import_source_lies_about_hash_fails_and_registers_nothing(
    team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    fakes.huggingface.declared_sha256 = "0" * 64
    failed = wait(team, start(team, link), "failed")
    assert failed["error_code"] == "source_changed"
    assert team.get("/models").json()["model_list"] == []
    assert "import.failed" in list_actions(team)


def test_import_source_has_other_size_than_draft_fails(team: ApiCaller, fakes: FakeSources, link: str) -> None:
    failed = wait(team, start(team, link, file_size=999, file_hash=None), "failed")
    assert failed["error_code"] == "source_changed"


def test_import_other_file_than_its_name_fails(team: ApiCaller, fakes: FakeSources, link: str) -> None:
    fakes.huggingface.files["ink.safetensors"] = b"<!DOCTYPE html><html>" + b" " * 5000
    failed = wait(team, start(team, link), "failed")
    assert failed["error_code"] == "not_a_model_file"
    assert team.get("/models").json()["model_list"] == []


def test_import_pickle_file_that_the_team_takes_none_of_is_refused(
    team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    draft = team.post("/imports/resolve", url=link).json()
    team.put("/teams/current", pickle_policy="block")
    refused = team.post("/imports", **confirm(draft, model_path="loras/ink.pt"))
    assert (refused.status_code, refused.json()["error_code"]) == (422, "not_a_model_file")


def test_import_source_gated_after_draft_fails_in_words_and_retry_succeeds(
    team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    draft = team.post("/imports/resolve", url=link).json()
    fakes.huggingface.is_gated = True
    import_id = team.post("/imports", **confirm(draft)).json()["id"]
    failed = wait(team, import_id, "failed")
    assert failed["error_code"] == "source_restricted"
    assert "gated" in failed["error"]
    fakes.huggingface.is_gated = False
    assert team.post(f"/imports/{import_id}/retry").status_code == 200
    assert wait(team, import_id)["error"] is None
    again = team.post(f"/imports/{import_id}/retry")
    assert (again.status_code, again.json()["error_code"]) == (409, "import_finished")


def test_import_overloaded_source_is_tried_again(team: ApiCaller, fakes: FakeSources, link: str) -> None:
    draft = team.post("/imports/resolve", url=link).json()
    fakes.huggingface.refusals = [(429, {"Retry-After": "600"})]
    import_id = team.post("/imports", **confirm(draft)).json()["id"]
    waiting = wait(team, import_id, "queued")
    while waiting["error_code"] is None:
        waiting = wait(team, import_id, "queued")
    assert waiting["error_code"] == "source_unavailable"
    assert waiting["retry_at"] is not None
    assert team.post(f"/imports/{import_id}/retry").status_code == 200
    wait(team, import_id)


def test_import_cancelled_while_running_registers_nothing(
    registry: Harness, fakes: FakeSources, link: str, large: bytes
) -> None:
    fakes.storage.pause()
    import_id = start(registry.owner, link)
    wait(registry.owner, import_id, "running")
    assert registry.owner.post(f"/imports/{import_id}/cancel").status_code == 200
    fakes.storage.resume()
    assert registry.owner.post(f"/imports/{import_id}/cancel").status_code == 200
    assert wait(registry.owner, import_id, "cancelled")["model_id"] is None
    other = wait(registry.owner, start(registry.owner, link, model_path="loras/other.safetensors"))
    assert [each["id"] for each in registry.owner.get("/models").json()["model_list"]] == [other["model_id"]]
    assert [each["import_state"] for each in registry.owner.get("/imports").json()["import_list"]] == [
        "done",
        "cancelled",
    ]


def test_import_reserves_the_quota_of_its_size(team: ApiCaller, fakes: FakeSources, link: str, large: bytes) -> None:
    team.put("/teams/current", quota_bytes=len(large) + 10)
    fakes.storage.pause()
    import_id = start(team, link)
    refused = team.presign(make_model_file("more"))
    fakes.storage.resume()
    assert refused.json()["error_code"] == "quota_exceeded"
    wait(team, import_id)


def test_import_member_changes_own_only(
    module_registry: Harness, team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    member = module_registry.create_member("member", team)
    fakes.storage.pause()
    import_id = start(team, link)
    refused = member.post(f"/imports/{import_id}/cancel")
    assert (refused.status_code, refused.json()["error_code"]) == (403, "role_too_low")
    assert member.get(f"/imports/{import_id}").status_code == 200
    fakes.storage.resume()
    wait(team, import_id)
    own = start(member, link, model_path="loras/own.safetensors")
    assert wait(member, own)["created_by"]["id"] == member.user_id


@pytest.mark.parametrize("url", ["hf://studio/ink/ink.sft", "urn:air:sdxl:lora:civitai:1@2", "ink"])
def test_import_link_that_was_not_looked_up_returns_422(team: ApiCaller, url: str) -> None:
    body = {"url": url, "file_size": 5, "display_name": "x", "model_type": "loras", "model_path": "loras/x.sft"}
    refused = team.post("/imports", **body)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "link_refused")
