"""Registration of uploaded files as models, in the cases that every client meets."""

from typing import Any

import pytest
from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.settings import Settings
from modelyard.server.uploads.limits import PUT_URL_LIFETIME
from modelyard.server.uploads.tables import UploadRow
from tests.server.environments import only_on
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

pytestmark = pytest.mark.slow


def test_register_uploaded_file_is_listed_as_verified_and_downloads_equal_content(team: ApiCaller) -> None:
    content = make_model_file()
    model_id = team.register(content)

    [listed] = team.get("/models").json()["model_list"]
    assert (listed["id"], listed["verification"], listed["file_hash"]) == (model_id, "verified", hash_of(content))
    ticket = team.get(f"/models/{model_id}/download", redirect="false").json()
    assert team.client.get(ticket["download_url"]).content == content


def test_register_before_upload_returns_409_upload_incomplete(team: ApiCaller) -> None:
    content = make_model_file()
    ticket = team.presign(content).json()
    refused = team.post("/models", **team.new_model(content, storage_key=ticket["storage_key"]))
    assert (refused.status_code, refused.json()["error_code"], refused.json()["stored"]) == (
        409,
        "upload_incomplete",
        0,
    )


def test_register_repeated_request_returns_200_and_the_same_id(team: ApiCaller) -> None:
    body = team.new_model(make_model_file())
    first, again = team.post("/models", **body), team.post("/models", **body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert team.get("/models").json()["page_meta"]["total_count"] == 1


def test_register_other_content_at_taken_path_returns_409_with_both_hashes_and_a_free_path(team: ApiCaller) -> None:
    stored = make_model_file("stored")
    team.register(stored, "loras/Ink.safetensors")
    sent = make_model_file("sent")
    refused = team.post("/models", **team.new_model(sent, "loras/ink.safetensors"))
    assert refused.status_code == 409
    problem = refused.json()
    assert (problem["held_hash"], problem["sent_hash"]) == (hash_of(stored), hash_of(sent))
    assert problem["free_path"] == "loras/ink_2.safetensors"


@only_on(
    "folder", reason="a bucket has no digest at registration: the worker detects the mismatch, see test_verification"
)
def test_register_wrong_hash_returns_422_with_the_stored_hash(team: ApiCaller) -> None:
    content = make_model_file()
    refused = team.post("/models", **team.new_model(content, file_hash="sha256:" + "0" * 64))
    assert (refused.status_code, refused.json()["error_code"]) == (422, "hash_mismatch")
    assert refused.json()["stored_hash"] == hash_of(content)


def test_presign_content_that_the_team_has_is_already_stored_and_registers_without_upload(team: ApiCaller) -> None:
    content = make_model_file()
    team.register(content, "loras/one.safetensors")
    assert team.presign(content, "loras/two.safetensors").json()["hash_first"] is True
    ticket = team.presign(content, "loras/two.safetensors", file_hash=hash_of(content)).json()
    assert ticket["already_stored"] is True
    body = team.new_model(content, "loras/two.safetensors", storage_key=ticket["storage_key"])
    assert team.post("/models", **body).status_code == 201


def test_file_of_a_known_size_that_is_presigned_again_with_its_hash_counts_once_in_the_quota(team: ApiCaller) -> None:
    one, two = make_model_file("one"), make_model_file("two")
    assert len(one) == len(two)
    team.register(one, "loras/one.safetensors")
    team.put("/teams/current", quota_bytes=2 * len(one))
    first = team.presign(two, "loras/two.safetensors").json()
    assert first["hash_first"] is True
    again = team.presign(two, "loras/two.safetensors", file_hash=hash_of(two))
    assert (again.status_code, again.json()["error_code"]) == (403, "quota_exceeded")
    continued = {"file_hash": hash_of(two), "storage_key": first["storage_key"]}
    for _ in range(2):
        assert team.presign(two, "loras/two.safetensors", **continued).json()["storage_key"] == first["storage_key"]
    assert team.upload(two, "loras/two.safetensors", **continued) == first["storage_key"]
    body = team.new_model(two, "loras/two.safetensors", storage_key=first["storage_key"])
    assert team.post("/models", **body).status_code == 201


def test_presign_of_known_content_continues_an_upload_that_was_presigned_without_the_hash(team: ApiCaller) -> None:
    content = make_model_file()
    team.register(content, "loras/one.safetensors")
    key = team.presign(content, "loras/two.safetensors").json()["storage_key"]
    ticket = team.presign(content, "loras/two.safetensors", file_hash=hash_of(content), storage_key=key).json()
    assert (ticket["already_stored"], ticket["storage_key"]) == (True, key)
    body = team.new_model(content, "loras/two.safetensors", storage_key=key)
    assert team.post("/models", **body).status_code == 201


@pytest.mark.parametrize("other", ["size", "hash", "person", "registered", "begun", "aborted", "expired", "unknown"])
def test_presign_ignores_the_storage_key_of_another_upload(
    shared_registry: Harness, team: ApiCaller, other: str
) -> None:
    content = make_model_file()
    earlier: dict[str, Any] = {"file_size": len(content) + 1} if other == "size" else {}
    earlier |= {"file_hash": "sha256:" + "0" * 64} if other == "hash" else {}
    asking = shared_registry.create_member("member", team) if other == "person" else team
    key = asking.presign(content, **earlier).json()["storage_key"]
    if other == "registered":
        key = asking.upload(content)
        assert asking.post("/models", **asking.new_model(content, storage_key=key)).status_code == 201
    if other in ("begun", "aborted"):
        begun = asking.post("/uploads/multipart/initiate", storage_key=key, file_size=len(content)).json()
        if other == "aborted":
            named = {"storage_key": key, "upload_id": begun["upload_id"]}
            assert asking.post("/uploads/multipart/abort", **named).status_code == 204
    if other == "expired":
        with shared_registry.resources.database.writing() as session:
            expired = update(UploadRow).where(UploadRow.storage_key == key)
            session.execute(expired.values(created_at=now() - PUT_URL_LIFETIME))
    if other == "unknown":
        key = key[:-4] + "0000"
    ticket = team.presign(content, "loras/two.safetensors", file_hash=hash_of(content), storage_key=key).json()
    assert ticket["storage_key"] != key


def test_presign_content_of_another_team_is_not_already_stored(shared_registry: Harness, team: ApiCaller) -> None:
    content = make_model_file()
    team.register(content)
    ticket = shared_registry.create_other_team().presign(content, file_hash=hash_of(content)).json()
    assert (ticket["already_stored"], ticket["hash_first"]) == (False, False)


def test_register_new_version_keeps_the_id_and_the_first_version_can_be_downloaded(team: ApiCaller) -> None:
    old, new = make_model_file("old"), make_model_file("new")
    model_id = team.register(old)
    assert team.register(new, replaces=model_id) == model_id
    assert [model["version"] for model in team.get("/models").json()["model_list"]] == [2]
    assert team.get("/models", deleted="true").json()["model_list"] == []
    for number, content in ((1, old), (2, new)):
        ticket = team.get(f"/models/{model_id}/download", version=number, redirect="false").json()
        assert team.client.get(ticket["download_url"]).content == content


def test_register_html_page_returns_422_and_the_detail_names_html(team: ApiCaller) -> None:
    refused = team.post("/models", **team.new_model(b"<!DOCTYPE html><html>not here</html>"))
    assert (refused.status_code, refused.json()["error_code"]) == (422, "not_a_model_file")
    assert "HTML" in refused.json()["detail"]


class TestQuotaOf400Bytes:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"quota_bytes": 400})

    def test_presign_file_above_remaining_quota_returns_403(self, registry: Harness) -> None:
        registry.owner.register(make_model_file("one", 100), "loras/one.safetensors")
        refused = registry.owner.presign(make_model_file("two", 300), "loras/two.safetensors")
        assert (refused.status_code, refused.json()["error_code"]) == (403, "quota_exceeded")
