"""Presigning of uploads: the ticket, stored content, taken paths, and limits."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from modelyard.server.settings import Settings
from modelyard.server.uploads.tables import UploadRow
from modelyard.wire.uploads import MULTIPART_ABOVE_BYTES
from tests.server.environments import only_on
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

CONTENT = make_model_file()
CAP = 500_000_000


def test_presign_returns_storage_key_of_the_team_and_url_valid_for_one_hour(
    shared_registry: Harness, team: ApiCaller
) -> None:
    answer = team.presign(CONTENT)
    ticket = answer.json()
    purpose, team_id, upload_id = ticket["storage_key"].split("/")
    assert (answer.status_code, purpose, team_id, UUID(upload_id).version) == (200, "models", team.team_id, 7)
    assert ticket["upload_url"].startswith(
        shared_registry.resources.settings.storage_endpoint or "http://registry.test/blobs/"
    )
    life = datetime.fromisoformat(ticket["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < life < timedelta(minutes=65)
    assert (ticket["multipart_required"], ticket["already_stored"], ticket["hash_first"]) == (False, False, False)


@pytest.mark.parametrize("key", ["integration", None])
def test_presign_pickle_by_default_returns_422_that_names_pickle_policy(
    shared_registry: Harness, team: ApiCaller, key: str | None
) -> None:
    caller = team if key is None else shared_registry.create_key("integration", team, access="write")
    refused = caller.presign(CONTENT, "checkpoints/old.CKPT")
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/not-a-model-file")
    assert (refused.json()["field"], refused.json()["setting"]) == ("model_path", "pickle_policy")
    in_folder = caller.presign(CONTENT, "diffusers/old", is_folder=True, file_name="unet.bin")
    assert in_folder.status_code == 422
    assert in_folder.json()["detail"].startswith("'unet.bin': This is a pickle file")
    assert team.put("/teams/current", pickle_policy="scan").status_code == 200
    assert caller.presign(CONTENT, "checkpoints/old.CKPT").status_code == 200


def test_presign_without_hash_requires_headers_content_length_and_if_none_match(team: ApiCaller) -> None:
    assert team.presign(CONTENT).json()["upload_headers"] == {
        "Content-Length": str(len(CONTENT)),
        "If-None-Match": "*",
    }


def test_presign_with_hash_requires_checksum_header(team: ApiCaller) -> None:
    digest = hash_of(CONTENT)
    headers = team.presign(CONTENT, file_hash=digest).json()["upload_headers"]
    signed = base64.b64decode(headers["x-amz-checksum-sha256"])
    assert signed.hex() == digest.removeprefix("sha256:")


def test_presign_uppercase_hash_finds_the_stored_content(team: ApiCaller) -> None:
    team.register(CONTENT)
    uppercase = "sha256:" + hash_of(CONTENT).removeprefix("sha256:").upper()
    assert team.presign(CONTENT, "loras/two.safetensors", file_hash=uppercase).json()["already_stored"] is True


@pytest.mark.parametrize("above", [0, 1])
def test_presign_recommends_multipart_only_above_threshold(team: ApiCaller, above: int) -> None:
    ticket = team.presign(CONTENT, file_size=MULTIPART_ABOVE_BYTES + above).json()
    assert ticket["multipart_recommended"] is bool(above)
    assert ticket["multipart_required"] is False


@pytest.mark.parametrize(("size", "is_required"), [(CAP, False), (CAP + 1, True)])
def test_presign_file_above_single_put_limit_requires_multipart(team: ApiCaller, size: int, is_required: bool) -> None:
    ticket = team.presign(CONTENT, file_size=size).json()
    assert ticket["multipart_required"] is is_required
    assert ticket["multipart_recommended"] is True
    assert ticket["storage_key"]
    assert ticket["upload_url"]


def test_presign_taken_path_returns_409_only_with_a_different_hash(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    other = make_model_file("other")
    assert team.presign(other).status_code == 200
    assert team.presign(CONTENT, file_hash=hash_of(CONTENT)).json()["already_stored"] is True
    refused = team.presign(other, file_hash=hash_of(other))
    problem = refused.json()
    assert (refused.status_code, problem["error_code"], problem["model_id"]) == (409, "model_path_taken", model_id)


def test_presign_path_of_the_replaced_model_succeeds(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    other = make_model_file("other")
    assert team.presign(other, file_hash=hash_of(other), replaces=model_id).status_code == 200


def test_presign_new_version_of_someone_elses_model_returns_403_before_the_upload(
    shared_registry: Harness, team: ApiCaller
) -> None:
    model_id = team.register(CONTENT)
    member = shared_registry.create_member("member", team)
    refused = member.presign(make_model_file("other"), replaces=model_id)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "role_too_low")
    # The content that the model has may be sent by everybody: that repairs damaged content.
    assert member.presign(CONTENT, file_hash=hash_of(CONTENT), replaces=model_id).status_code == 200


def test_presign_new_version_of_unknown_model_or_at_another_path_is_refused_by_field(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    unknown = team.presign(make_model_file("other"), replaces=str(uuid4()))
    assert (unknown.status_code, unknown.json()["field"]) == (404, "replaces")
    moved = team.presign(make_model_file("other"), "loras/elsewhere.safetensors", replaces=model_id)
    assert (moved.status_code, [error["field"] for error in moved.json()["errors"]]) == (422, ["model_path"])


def test_presign_content_of_the_owners_other_team_is_not_already_stored(
    shared_registry: Harness, team: ApiCaller
) -> None:
    shared_registry.create_team().register(CONTENT)
    ticket = team.presign(CONTENT, file_hash=hash_of(CONTENT)).json()
    assert (ticket["already_stored"], ticket["hash_first"]) == (False, False)


@only_on("folder", reason="a bucket has no free space to compare with")
def test_presign_file_larger_than_free_disk_space_returns_507(team: ApiCaller) -> None:
    refused = team.presign(CONTENT, file_size=2**63 - 1)
    assert (refused.status_code, refused.json()["error_code"]) == (507, "storage_full")


class TestLimitOfTwoOpenUploadsWithoutPublicUrl:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"open_uploads": 2, "public_url": None})

    def test_presign_third_upload_returns_429(self, registry: Harness) -> None:
        registry.client.base_url = registry.client.base_url.copy_with(host="127.0.0.1", port=8400)
        assert [registry.owner.presign(CONTENT).status_code for _ in range(2)] == [200, 200]
        refused = registry.owner.presign(CONTENT)
        assert (refused.status_code, refused.json()["open_uploads"]) == (429, 2)

    @only_on("folder", reason="the URL of a bucket does not depend on the Host header")
    def test_presign_loopback_host_is_in_the_url_and_unknown_host_returns_400(self, registry: Harness) -> None:
        ticket = registry.owner.call(
            "POST", "/models/presign", json=_build_request(), headers={"Host": "127.0.0.1:8400"}
        )
        assert ticket.json()["upload_url"].startswith("http://127.0.0.1:8400/blobs/")
        refused = registry.owner.call(
            "POST", "/models/presign", json=_build_request(), headers={"Host": "evil.example"}
        )
        assert (refused.status_code, refused.json()["error_code"]) == (400, "host_not_allowed")


class TestLimitOfTwoOpenUploads:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"open_uploads": 2})

    def test_presign_third_upload_returns_429_until_the_oldest_is_one_hour_old(self, registry: Harness) -> None:
        keys = [registry.owner.presign(CONTENT).json()["storage_key"] for _ in range(2)]
        _make_older(registry, keys[0], timedelta(minutes=59))
        refused = registry.owner.presign(CONTENT)
        assert (refused.status_code, refused.json()["error_code"]) == (429, "too_many_uploads")
        assert 50 <= int(refused.headers["Retry-After"]) <= 60
        _make_older(registry, keys[0], timedelta(minutes=1))
        assert registry.owner.presign(CONTENT).status_code == 200

    def test_presign_third_upload_beside_two_multipart_uploads_has_retry_after_of_seven_days(
        self, registry: Harness
    ) -> None:
        for _ in range(2):
            _begin_multipart(registry.owner, registry.owner.presign(CONTENT).json()["storage_key"])
        refused = registry.owner.presign(CONTENT)
        assert 7 * 86400 - 60 < int(refused.headers["Retry-After"]) <= 7 * 86400
        assert "2 unfinished uploads" in refused.json()["detail"]

    def test_presign_after_abort_of_multipart_upload_succeeds_at_once(self, registry: Harness) -> None:
        keys = [registry.owner.presign(CONTENT).json()["storage_key"] for _ in range(2)]
        upload_id = _begin_multipart(registry.owner, keys[0])
        assert registry.owner.presign(CONTENT).status_code == 429
        registry.owner.post("/uploads/multipart/abort", storage_key=keys[0], upload_id=upload_id)
        assert registry.owner.presign(CONTENT).status_code == 200
        assert registry.owner.presign(CONTENT).status_code == 429

    def test_presign_stored_content_counts_as_open_upload_until_registered(self, registry: Harness) -> None:
        registry.owner.register(CONTENT)
        for _ in range(2):
            assert registry.owner.presign(CONTENT, file_hash=hash_of(CONTENT)).json()["already_stored"] is True
        assert registry.owner.presign(CONTENT, file_hash=hash_of(CONTENT)).status_code == 429


def _make_older(registry: Harness, key: str, by: timedelta) -> None:
    with registry.resources.database.writing() as session:
        upload = session.scalars(select(UploadRow).where(UploadRow.storage_key == key)).one()
        upload.created_at -= by


def _begin_multipart(caller: ApiCaller, key: str) -> str:
    answer = caller.post("/uploads/multipart/initiate", storage_key=key, file_size=len(CONTENT))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["upload_id"])


def _build_request() -> dict[str, object]:
    return {"file_name": "a.safetensors", "file_size": 9, "model_type": "loras", "model_path": "loras/a.safetensors"}
