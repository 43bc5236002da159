"""Asking where to put a file."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from modelyard.server.settings import Settings
from tests.server.places import only_on
from tests.server.world import Someone, World, a_model_file, hash_of

CONTENT = a_model_file()
CAP = 500_000_000


def test_presign_says_where_to_put_the_bytes_and_for_how_long(shared_world: World, team: Someone) -> None:
    answer = team.presign(CONTENT)
    ticket = answer.json()
    purpose, team_id, upload_id = ticket["storage_key"].split("/")
    assert (answer.status_code, purpose, team_id, UUID(upload_id).version) == (200, "models", team.team_id, 7)
    assert ticket["upload_url"].startswith(
        shared_world.parts.settings.storage_endpoint or "http://registry.test/blobs/"
    )
    life = datetime.fromisoformat(ticket["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < life < timedelta(minutes=65)
    assert (ticket["multipart_required"], ticket["already_stored"], ticket["hash_first"]) == (False, False, False)


def test_the_signed_headers_are_length_and_only_if_new(team: Someone) -> None:
    assert team.presign(CONTENT).json()["upload_headers"] == {
        "Content-Length": str(len(CONTENT)),
        "If-None-Match": "*",
    }


def test_a_given_hash_is_signed_too(team: Someone) -> None:
    digest = hash_of(CONTENT)
    headers = team.presign(CONTENT, file_hash=digest).json()["upload_headers"]
    signed = base64.b64decode(headers["x-amz-checksum-sha256"])
    assert signed.hex() == digest.removeprefix("sha256:")


def test_the_hash_may_be_written_in_capitals(team: Someone) -> None:
    team.register(CONTENT)
    shouted = "sha256:" + hash_of(CONTENT).removeprefix("sha256:").upper()
    assert team.presign(CONTENT, "loras/two.safetensors", file_hash=shouted).json()["already_stored"] is True


@pytest.mark.parametrize(("size", "is_required"), [(CAP, False), (CAP + 1, True)])
def test_only_files_above_the_cap_must_go_in_parts(team: Someone, size: int, is_required: bool) -> None:
    ticket = team.presign(CONTENT, file_size=size).json()
    assert ticket["multipart_required"] is is_required
    assert ticket["storage_key"]
    assert ticket["upload_url"]


def test_a_taken_path_is_refused_only_if_the_given_hash_differs(team: Someone) -> None:
    held = team.register(CONTENT)
    other = a_model_file("other")
    assert team.presign(other).status_code == 200
    assert team.presign(CONTENT, file_hash=hash_of(CONTENT)).json()["already_stored"] is True
    refused = team.presign(other, file_hash=hash_of(other))
    problem = refused.json()
    assert (refused.status_code, problem["error_code"], problem["model_id"]) == (409, "model_path_taken", held)


def test_the_path_of_the_model_that_is_to_be_replaced_counts_as_free(team: Someone) -> None:
    held = team.register(CONTENT)
    other = a_model_file("other")
    assert team.presign(other, file_hash=hash_of(other), replaces=held).status_code == 200


def test_a_member_asks_in_vain_for_bytes_that_only_another_team_holds(shared_world: World, team: Someone) -> None:
    shared_world.new_team().register(CONTENT)
    ticket = team.presign(CONTENT, file_hash=hash_of(CONTENT)).json()
    assert (ticket["already_stored"], ticket["hash_first"]) == (False, False)


@only_on("folder", reason="nobody can tell how much fits into a bucket")
def test_a_file_that_the_disk_cannot_hold_is_refused_before_the_first_byte(team: Someone) -> None:
    refused = team.presign(CONTENT, file_size=2**63 - 1)
    assert (refused.status_code, refused.json()["error_code"]) == (507, "storage_full")


class TestATeamThatMayHaveTwoUnfinishedUploads:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"open_uploads": 2, "public_url": None})

    def test_is_asked_to_come_back_for_the_third(self, world: World) -> None:
        world.client.base_url = world.client.base_url.copy_with(host="127.0.0.1", port=8400)
        assert [world.owner.presign(CONTENT).status_code for _ in range(2)] == [200, 200]
        refused = world.owner.presign(CONTENT)
        assert (refused.status_code, refused.json()["open_uploads"]) == (429, 2)
        assert int(refused.headers["Retry-After"]) > 0

    @only_on("folder", reason="a bucket has an address of its own")
    def test_gets_links_for_an_address_or_a_name_of_this_machine_and_for_no_other(self, world: World) -> None:
        ticket = world.owner.call("POST", "/models/presign", json=_request(), headers={"Host": "127.0.0.1:8400"})
        assert ticket.json()["upload_url"].startswith("http://127.0.0.1:8400/blobs/")
        refused = world.owner.call("POST", "/models/presign", json=_request(), headers={"Host": "evil.example"})
        assert (refused.status_code, refused.json()["error_code"]) == (400, "host_not_allowed")


def _request() -> dict[str, object]:
    return {"file_name": "a.safetensors", "file_size": 9, "model_type": "loras", "model_path": "loras/a.safetensors"}
