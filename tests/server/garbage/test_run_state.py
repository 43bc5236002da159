"""Runs of garbage collection: dry runs, concurrent runs, failing stores, and runs beside requests."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from modelyard.server.database.base import now
from modelyard.server.garbage.run_state import CollectionResult
from modelyard.server.models.tables import ModelRow
from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.local.store import LocalStore
from modelyard.server.storage.s3.store import S3Store
from modelyard.server.uploads.tables import BlobRow, DiscardedRow, UploadRow
from tests.server.garbage.garbage_team import GarbageTeam, build_new_key
from tests.server.harness import hash_of, make_model_file

pytestmark = pytest.mark.slow

THREADS, CYCLES = 4, 12


def test_dry_run_returns_the_result_of_the_next_run_and_removes_nothing(team: GarbageTeam) -> None:
    kept = team.owner.register(make_model_file("kept"), "loras/kept.safetensors")
    gone = team.register_and_delete("gone")
    lost = make_model_file("lost")
    team.owner.upload(lost, "loras/lost.safetensors")
    parts, ids = team.begin_multipart("parts")
    team.upload_part(parts, ids)
    team.age_uploads()
    before = team.list_objects()

    expected = team.collect(is_dry=True)
    assert team.list_objects() == before
    assert team.collect(is_dry=True) == expected
    assert team.collect() == expected
    assert (expected.models, expected.uploads, expected.is_complete) == (1, 2, True)
    assert expected.bytes == len(gone) + len(lost) + len(parts)
    assert len(team.list_objects()) == 1
    assert team.owner.get(f"/models/{kept}/download").status_code == 307
    assert team.collect(is_dry=True) == CollectionResult()


def test_dry_run_with_grace_counts_no_files_that_are_still_in_their_grace_time(team: GarbageTeam) -> None:
    team.register_and_delete("gone")
    expected = team.collect(is_dry=True, grace=timedelta(hours=2))
    assert expected == CollectionResult(models=1)
    assert team.collect(grace=timedelta(hours=2)) == expected
    assert len(team.list_objects()) == 1


def test_quick_run_removes_deleted_model_and_expired_upload(team: GarbageTeam) -> None:
    gone = team.register_and_delete("gone")
    team.owner.upload(make_model_file("lost"), "loras/lost.safetensors")
    team.age_uploads()
    assert team.collect(is_thorough=False).bytes == len(gone) + len(make_model_file("lost"))
    assert team.list_objects() == set()


def test_two_runs_at_once_remove_each_object_once(team: GarbageTeam) -> None:
    contents = [team.register_and_delete(f"gone {number}") for number in range(8)]
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(team.collect) for _ in range(2)]
    assert team.collect() == CollectionResult()
    assert team.list_objects() == set()
    collected = [run.result() for run in runs]
    assert sum(result.models for result in collected) == len(contents)
    assert sum(result.failures for result in collected) == 0
    assert team.owner.get("/teams/current").json()["stored_bytes"] == 0


@pytest.mark.extended(reason="a race that is looked for by repetition; test_garbage.py has the rules of what is kept")
def test_runs_beside_uploads_and_deletions_remove_no_used_object(team: GarbageTeam) -> None:
    """Four threads upload, register stored and new content, and delete; two threads collect garbage all the time."""
    is_over = threading.Event()

    def collect() -> None:
        while not is_over.is_set():
            assert team.collect().failures == 0

    def work(worker: int) -> dict[str, bytes]:
        living: dict[str, bytes] = {}
        randomness = random.Random(worker)
        for cycle in range(CYCLES):
            # Few different contents, so that bytes are deleted and used again at the same moment.
            content = make_model_file(f"{randomness.randrange(3)}")
            path = f"loras/{worker}-{cycle}.safetensors"
            ticket = team.owner.presign(content, path, file_hash=hash_of(content)).json()
            key = ticket["storage_key"]
            if not ticket["already_stored"]:
                sent = team.registry.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
                assert sent.status_code == 200, sent.text
            model_id = team.owner.register(content, path, storage_key=key)
            if randomness.random() < 0.7:
                assert team.owner.delete(f"/models/{model_id}").status_code < 300
            else:
                living[model_id] = content
        return living

    with ThreadPoolExecutor(THREADS + 2) as threads:
        cleaning = [threads.submit(collect) for _ in range(2)]
        working = [threads.submit(work, worker) for worker in range(THREADS)]
        try:
            living = {model_id: content for worker in working for model_id, content in worker.result().items()}
        finally:
            is_over.set()
        for run in cleaning:
            run.result()
    team.collect()
    assert len(team.list_objects()) == len(set(living.values()))
    for model_id, content in living.items():
        url = team.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
        assert team.registry.client.get(url).content == content


def test_quick_run_removes_upload_abandoned_by_an_older_release(team: GarbageTeam) -> None:
    key = team.owner.upload(make_model_file("lost"), "loras/lost.safetensors")
    with team.resources.database.writing() as session:
        session.execute(update(UploadRow).where(UploadRow.storage_key == key).values(registered_at=now()))
    assert team.collect(is_thorough=False).files == 1
    assert team.list_objects() == set()


def test_run_object_without_row_is_kept_and_counted(team: GarbageTeam) -> None:
    team.owner.upload(make_model_file("lost"), "loras/lost.safetensors")
    team.begin_multipart("parts")
    team.delete_rows(UploadRow)
    before = team.list_objects()
    assert team.collect() == CollectionResult(unknown_files=1)
    assert team.list_objects() == before


def test_run_multipart_upload_without_row_of_a_known_key_is_aborted(team: GarbageTeam) -> None:
    content, ids = team.begin_multipart("parts")
    store, size = team.resources.store, len(content)
    store.start_multipart(ids["storage_key"], size, size)
    copy = build_new_key(team.team_id, "verified")
    store.start_multipart(copy, size, size)
    assert team.collect().failures == 0
    assert team.list_objects() == {f"{ids['storage_key']} {ids['upload_id']}"}


def test_run_object_discarded_by_mistake_but_served_is_kept(team: GarbageTeam) -> None:
    """Such a row is never written; if there is one all the same, keeping the content is more important than space."""
    model_id = team.owner.register(make_model_file("kept"), "loras/kept.safetensors")
    with team.resources.database.writing() as session:
        key = session.scalars(select(BlobRow.store_key).join(ModelRow).where(ModelRow.blob_id == BlobRow.id)).all()[-1]
        values = {"team_id": session.scalars(select(ModelRow.team_id)).all()[-1], "since": now()}
        session.add(DiscardedRow(store_key=key, multipart_id="", **values))
    team.collect()
    assert team.owner.get(f"/models/{model_id}/download").status_code == 307
    assert len(team.list_objects()) == 1


class FailingLocalStore(LocalStore):
    """A local store that fails to delete some keys."""

    failing_keys: frozenset[str] = frozenset()

    def delete(self, key: str) -> None:
        if key in self.failing_keys:
            raise StoreUnavailable("The disk failed.")
        super().delete(key)


class FailingS3Store(S3Store):
    """A bucket store that fails to delete some keys."""

    failing_keys: frozenset[str] = frozenset()

    def delete(self, key: str) -> None:
        if key in self.failing_keys:
            raise StoreUnavailable("The bucket failed.")
        super().delete(key)


@pytest.fixture
def failing_store(team: GarbageTeam) -> FailingLocalStore | FailingS3Store:
    store = team.resources.store
    if isinstance(store, S3Store):
        return FailingS3Store(store.bucket)
    return FailingLocalStore(team.resources.settings.data_dir, b"x" * 32)


def test_run_object_that_fails_to_delete_is_removed_by_the_next_run_and_others_at_once(
    team: GarbageTeam, failing_store: FailingLocalStore | FailingS3Store
) -> None:
    for number in range(4):
        team.register_and_delete(f"gone {number}")
    failing_key = sorted(team.list_objects())[1]
    failing_store.failing_keys = frozenset({failing_key})
    assert team.collect(store=failing_store).failures == 1
    assert team.list_objects() == {failing_key}
    failing_store.failing_keys = frozenset()
    assert team.collect(store=failing_store).files == 1
    assert team.list_objects() == set()


def test_run_store_failing_all_deletions_stops_and_the_next_run_removes_all(
    team: GarbageTeam, failing_store: FailingLocalStore | FailingS3Store
) -> None:
    contents = [team.register_and_delete(f"gone {number}") for number in range(5)]
    before = team.list_objects()
    failing_store.failing_keys = frozenset(before)
    collected = team.collect(store=failing_store)
    assert (collected.models, collected.files, collected.is_complete) == (5, 0, False)
    assert team.list_objects() == before
    assert team.collect().bytes == sum(map(len, contents))
    assert team.list_objects() == set()


def test_upload_part_after_another_process_aborted_the_upload_returns_404(team: GarbageTeam) -> None:
    """Garbage collection may run in another process, while the server still has the upload open."""
    content, ids = team.begin_multipart("parts")
    [ticket] = team.owner.post("/uploads/multipart/presign", **ids, part_numbers=[1]).json()["part_list"]
    assert team.upload_part(content, ids).status_code == 200
    store, settings = team.resources.store, team.resources.settings
    other = S3Store(store.bucket) if isinstance(store, S3Store) else LocalStore(settings.data_dir, b"x" * 32)
    other.abort_multipart(ids["storage_key"], ids["upload_id"])

    sent = team.registry.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
    assert sent.status_code == 404
    listed = team.owner.get("/uploads/multipart/parts", **ids)
    assert listed.status_code == 404
    part_list = [{"part_number": 1, "etag": "0" * 32}]
    completed = team.owner.post("/uploads/multipart/complete", **ids, part_list=part_list)
    assert completed.status_code in {404, 409}
    begun = team.owner.post("/uploads/multipart/initiate", storage_key=ids["storage_key"], file_size=len(content))
    assert begun.status_code in {200, 201}
    assert begun.json()["upload_id"] != ids["upload_id"]
