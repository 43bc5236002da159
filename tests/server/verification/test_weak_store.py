"""A real store that lets every key be written again: a signed URL is replayed, and nobody is ever served its bytes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.cleanup.collecting import collect_garbage
from modelyard.server.cleanup.rounds import Plan
from modelyard.server.identity.state import Identity
from modelyard.server.parts import opened
from modelyard.server.settings import Settings
from tests.rclone import RunningRclone
from tests.server.conftest import CHEAP
from tests.server.verification.unread import CONTENT, Unread
from tests.server.world import World, a_model_file, hash_of

SWAPPED = a_model_file("swp")


@pytest.fixture
def weak(tmp_path: Path) -> Iterator[Unread]:
    with RunningRclone() as rclone, rclone.bucket() as bucket:
        settings = Settings(
            data_dir=tmp_path,
            public_url="http://registry.test",
            storage_url=f"s3://{bucket}",
            storage_endpoint=rclone.endpoint,
            storage_access_key=rclone.access_key,
            storage_secret_key=rclone.secret_key,
        )
        with opened(settings, Identity(CHEAP)) as parts:
            world = World(parts)
            world.owner = world.sign_in("owner@studio.test", world.team_id)
            yield Unread(world)
            world.client.close()


class Replay:
    """A URL to PUT a file whole, used again and again."""

    def __init__(self, weak: Unread) -> None:
        self._client = weak.client
        self._ticket = weak.owner.presign(CONTENT, file_hash=None).json()
        self.key = str(self._ticket["storage_key"])

    def put(self, content: bytes) -> int:
        sent = self._client.put(self._ticket["upload_url"], content=content, headers=self._ticket["upload_headers"])
        return sent.status_code


def test_the_store_is_seen_for_what_it_is(weak: Unread) -> None:
    assert weak.parts.trust.honesty is not None
    assert not weak.parts.trust.honesty.refuses_overwrite
    assert weak.parts.trust.needs_copies


def test_bytes_that_were_swapped_before_they_were_read_are_found_out(weak: Unread) -> None:
    replay = Replay(weak)
    assert replay.put(CONTENT) == 200
    model_id = weak.register(CONTENT, storage_key=replay.key)
    assert replay.put(SWAPPED) == 200, "This store honours the condition; the test means nothing."
    weak.verify()
    assert weak.state(model_id) == "failed"
    assert hash_of(SWAPPED) in weak.model(model_id)["verification_error"]
    assert weak.owner.get(f"/models/{model_id}/download").status_code == 409


def test_bytes_that_are_swapped_after_they_were_read_are_served_to_nobody(weak: Unread) -> None:
    replay = Replay(weak)
    replay.put(CONTENT)
    model_id = weak.register(CONTENT, storage_key=replay.key)
    weak.verify()
    for _ in range(20):
        assert replay.put(SWAPPED) == 200
        assert weak.download(model_id) == CONTENT
    parts = weak.parts
    assert collect_garbage(parts.database, parts.store, parts.settings, Plan(Plan().grace * 0)).files >= 1
    assert [held.key for held in parts.store.keys("")] == [weak.blob(model_id).store_key]
    assert weak.download(model_id) == CONTENT
