"""A real store that allows overwriting: a presigned URL is used again, but only verified content is served."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import RunOptions
from tests.rclone import RunningRclone
from tests.server.harness import hash_of, make_model_file
from tests.server.verification.test_scrub import replace_stored_object
from tests.server.verification.unverified_team import CONTENT, UnverifiedTeam, open_bucket_team

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extended(
        reason="a store that breaks S3's rules; test_copies.py has the copies that protect against it"
    ),
]

REPLACED = make_model_file("swp")


@pytest.fixture
def overwritable(tmp_path: Path) -> Iterator[UnverifiedTeam]:
    with RunningRclone() as rclone, rclone.bucket() as bucket, open_bucket_team(tmp_path, bucket, rclone) as team:
        yield team


class ReusedUrl:
    """A presigned URL for a whole file that is used several times."""

    def __init__(self, overwritable: UnverifiedTeam) -> None:
        self._client = overwritable.client
        self._ticket = overwritable.owner.presign(CONTENT, file_hash=None).json()
        self.key = str(self._ticket["storage_key"])

    def put(self, content: bytes) -> int:
        response = self._client.put(self._ticket["upload_url"], content=content, headers=self._ticket["upload_headers"])
        return response.status_code


def test_probe_finds_that_the_store_allows_overwriting(overwritable: UnverifiedTeam) -> None:
    assert overwritable.resources.capabilities.probed is not None
    assert not overwritable.resources.capabilities.probed.refuses_overwrite
    assert overwritable.resources.capabilities.needs_copies


def test_verify_object_overwritten_before_verification_fails(overwritable: UnverifiedTeam) -> None:
    reused_url = ReusedUrl(overwritable)
    assert reused_url.put(CONTENT) == 200
    model_id = overwritable.register(CONTENT, storage_key=reused_url.key)
    assert reused_url.put(REPLACED) == 200, "The store refused to overwrite: the test proves nothing."
    overwritable.verify()
    assert overwritable.state(model_id) == "failed"
    assert hash_of(REPLACED) in overwritable.model(model_id)["verification_error"]
    assert overwritable.owner.get(f"/models/{model_id}/download").status_code == 409


def test_download_after_presigned_key_is_overwritten_returns_the_verified_content(overwritable: UnverifiedTeam) -> None:
    reused_url = ReusedUrl(overwritable)
    reused_url.put(CONTENT)
    model_id = overwritable.register(CONTENT, storage_key=reused_url.key)
    overwritable.verify()
    for _ in range(20):
        assert reused_url.put(REPLACED) == 200
        assert overwritable.download(model_id) == CONTENT
    resources = overwritable.resources
    assert (
        collect_garbage(
            resources.database, resources.store, resources.settings, RunOptions(RunOptions().grace * 0)
        ).files
        >= 1
    )
    assert [stored.key for stored in resources.store.list_keys("")] == [overwritable.blob(model_id).store_key]
    assert overwritable.download(model_id) == CONTENT


@pytest.mark.parametrize("remaining", [CONTENT[:50], None], ids=["truncated", "deleted"])
def test_download_ticket_for_damaged_copy_returns_409_until_a_push_repairs_it(
    overwritable: UnverifiedTeam, remaining: bytes | None
) -> None:
    model_id = overwritable.register(CONTENT)
    overwritable.verify_all()
    key = overwritable.blob(model_id).store_key
    assert key.startswith("verified/")
    replace_stored_object(overwritable.resources, key, remaining)

    refused = overwritable.owner.get(f"/models/{model_id}/download")

    assert (refused.status_code, refused.json()["error_code"]) == (409, "model_damaged")
    assert overwritable.state(model_id) == "failed"
    overwritable.register(CONTENT)
    overwritable.verify_all()
    assert overwritable.download(model_id) == CONTENT
