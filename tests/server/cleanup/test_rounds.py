"""Rounds of clean-up: looked at first, two at once, on a store that fails, beside a server that works."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from modelyard.server.cleanup.rounds import Collected
from modelyard.server.database.base import now
from modelyard.server.models.tables import ModelRow
from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.s3 import S3Store
from modelyard.server.uploads.tables import BlobRow, DiscardedRow, UploadRow
from tests.server.cleanup.litter import Litter, new_key
from tests.server.world import a_model_file, hash_of

THREADS, CYCLES = 4, 12


def test_a_dry_round_says_what_a_round_then_does_and_does_nothing(litter: Litter) -> None:
    kept = litter.owner.register(a_model_file("kept"), "loras/kept.safetensors")
    gone = litter.drop_model("gone")
    lost = a_model_file("lost")
    litter.owner.upload(lost, "loras/lost.safetensors")
    parts, named = litter.begin_parts("parts")
    litter.send_part(parts, named)
    litter.age_uploads()
    before = litter.held()

    foreseen = litter.clean(is_dry=True)
    assert litter.held() == before
    assert litter.clean(is_dry=True) == foreseen
    assert litter.clean() == foreseen
    assert (foreseen.models, foreseen.uploads, foreseen.is_whole) == (1, 2, True)
    assert foreseen.bytes == len(gone) + len(lost) + len(parts)
    assert len(litter.held()) == 1
    assert litter.owner.get(f"/models/{kept}/download").status_code == 307
    assert litter.clean(is_dry=True) == Collected()


def test_what_has_to_wait_for_the_grace_time_is_not_said_to_free_anything(litter: Litter) -> None:
    litter.drop_model("gone")
    foreseen = litter.clean(is_dry=True, grace=timedelta(hours=2))
    assert foreseen == Collected(models=1)
    assert litter.clean(grace=timedelta(hours=2)) == foreseen
    assert len(litter.held()) == 1


def test_a_quick_round_finds_what_became_useless_in_the_ordinary_way(litter: Litter) -> None:
    gone = litter.drop_model("gone")
    litter.owner.upload(a_model_file("lost"), "loras/lost.safetensors")
    litter.age_uploads()
    assert litter.clean(is_thorough=False).bytes == len(gone) + len(a_model_file("lost"))
    assert litter.held() == set()


def test_two_rounds_at_once_remove_everything_once(litter: Litter) -> None:
    gone = [litter.drop_model(f"gone {number}") for number in range(8)]
    with ThreadPoolExecutor(2) as both:
        done = [both.submit(litter.clean) for _ in range(2)]
    assert litter.clean() == Collected()
    assert litter.held() == set()
    collected = [one.result() for one in done]
    assert sum(one.models for one in collected) == len(gone)
    assert sum(one.failures for one in collected) == 0
    assert litter.owner.get("/teams/current").json()["stored_bytes"] == 0


def test_cleaning_all_the_time_takes_nothing_from_anybody(litter: Litter) -> None:
    """Uploads, registrations of held and of new bytes, deletions; two rounds after another go on beside them."""
    is_over = threading.Event()

    def clean() -> None:
        while not is_over.is_set():
            assert litter.clean().failures == 0

    def work(worker: int) -> dict[str, bytes]:
        living: dict[str, bytes] = {}
        chance = random.Random(worker)
        for cycle in range(CYCLES):
            # Few different contents, so that bytes are given up and taken up again at the same moment.
            content = a_model_file(f"{chance.randrange(3)}")
            path = f"loras/{worker}-{cycle}.safetensors"
            ticket = litter.owner.presign(content, path, file_hash=hash_of(content)).json()
            key = ticket["storage_key"]
            if not ticket["already_stored"]:
                sent = litter.world.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
                assert sent.status_code == 200, sent.text
            model_id = litter.owner.register(content, path, storage_key=key)
            if chance.random() < 0.7:
                assert litter.owner.delete(f"/models/{model_id}").status_code < 300
            else:
                living[model_id] = content
        return living

    with ThreadPoolExecutor(THREADS + 2) as threads:
        cleaning = [threads.submit(clean) for _ in range(2)]
        working = [threads.submit(work, worker) for worker in range(THREADS)]
        try:
            living = {model_id: content for one in working for model_id, content in one.result().items()}
        finally:
            is_over.set()
        for one in cleaning:
            one.result()
    litter.clean()
    assert len(litter.held()) == len(set(living.values()))
    for model_id, content in living.items():
        url = litter.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
        assert litter.world.client.get(url).content == content


def test_what_an_older_modelyard_gave_up_goes(litter: Litter) -> None:
    key = litter.owner.upload(a_model_file("lost"), "loras/lost.safetensors")
    with litter.parts.database.writing() as session:
        session.execute(update(UploadRow).where(UploadRow.storage_key == key).values(registered_at=now()))
    assert litter.clean(is_thorough=False).files == 1
    assert litter.held() == set()


def test_what_no_row_knows_is_kept_and_counted(litter: Litter) -> None:
    litter.owner.upload(a_model_file("lost"), "loras/lost.safetensors")
    litter.begin_parts("parts")
    litter.forget(UploadRow)
    before = litter.held()
    assert litter.clean() == Collected(unknown_files=1)
    assert litter.held() == before


def test_parts_that_a_killed_server_did_not_note_go(litter: Litter) -> None:
    content, named = litter.begin_parts("parts")
    store, size = litter.parts.store, len(content)
    store.start(named["storage_key"], size, size)
    copy = new_key(litter.team_id, "verified")
    store.start(copy, size, size)
    assert litter.clean().failures == 0
    assert litter.held() == {f"{named['storage_key']} {named['upload_id']}"}


def test_a_row_that_calls_served_bytes_useless_is_not_believed(litter: Litter) -> None:
    """It cannot be written by us; should it be there all the same, bytes are worth more than room."""
    model_id = litter.owner.register(a_model_file("kept"), "loras/kept.safetensors")
    with litter.parts.database.writing() as session:
        key = session.scalars(select(BlobRow.store_key).join(ModelRow).where(ModelRow.blob_id == BlobRow.id)).all()[-1]
        values = {"team_id": session.scalars(select(ModelRow.team_id)).all()[-1], "since": now()}
        session.add(DiscardedRow(store_key=key, multipart_id="", **values))
    litter.clean()
    assert litter.owner.get(f"/models/{model_id}/download").status_code == 307
    assert len(litter.held()) == 1


class ErringFolder(LocalStore):
    """A folder that cannot rid itself of some keys."""

    stuck: frozenset[str] = frozenset()

    def delete(self, key: str) -> None:
        if key in self.stuck:
            raise StoreUnavailable("The disk failed.")
        super().delete(key)


class ErringBucket(S3Store):
    """The same, of a bucket."""

    stuck: frozenset[str] = frozenset()

    def delete(self, key: str) -> None:
        if key in self.stuck:
            raise StoreUnavailable("The bucket failed.")
        super().delete(key)


@pytest.fixture
def erring(litter: Litter) -> ErringFolder | ErringBucket:
    store = litter.parts.store
    if isinstance(store, S3Store):
        return ErringBucket(store.bucket)
    return ErringFolder(litter.parts.settings.data_dir, b"x" * 32)


def test_what_cannot_be_removed_stops_nothing_else_and_goes_another_time(
    litter: Litter, erring: ErringFolder | ErringBucket
) -> None:
    for number in range(4):
        litter.drop_model(f"gone {number}")
    stuck = sorted(litter.held())[1]
    erring.stuck = frozenset({stuck})
    assert litter.clean(store=erring).failures == 1
    assert litter.held() == {stuck}
    erring.stuck = frozenset()
    assert litter.clean(store=erring).files == 1
    assert litter.held() == set()


def test_a_store_that_does_not_answer_keeps_its_bytes_and_their_rows(
    litter: Litter, erring: ErringFolder | ErringBucket
) -> None:
    gone = [litter.drop_model(f"gone {number}") for number in range(5)]
    before = litter.held()
    erring.stuck = frozenset(before)
    collected = litter.clean(store=erring)
    assert (collected.models, collected.files, collected.is_whole) == (5, 0, False)
    assert litter.held() == before
    assert litter.clean().bytes == sum(map(len, gone))
    assert litter.held() == set()


def test_a_part_that_comes_after_the_clean_up_has_no_upload(litter: Litter) -> None:
    """The clean-up is another process: the server still has the upload open."""
    content, named = litter.begin_parts("parts")
    [ticket] = litter.owner.post("/uploads/multipart/presign", **named, part_numbers=[1]).json()["part_list"]
    assert litter.send_part(content, named).status_code == 200
    store, settings = litter.parts.store, litter.parts.settings
    other = S3Store(store.bucket) if isinstance(store, S3Store) else LocalStore(settings.data_dir, b"x" * 32)
    other.abort(named["storage_key"], named["upload_id"])

    sent = litter.world.client.put(ticket["upload_url"], content=content, headers=ticket["upload_headers"])
    assert sent.status_code == 404
    listed = litter.owner.get("/uploads/multipart/parts", **named)
    assert listed.status_code == 404
    part_list = [{"part_number": 1, "etag": "0" * 32}]
    completed = litter.owner.post("/uploads/multipart/complete", **named, part_list=part_list)
    assert completed.status_code in {404, 409}
    begun = litter.owner.post("/uploads/multipart/initiate", storage_key=named["storage_key"], file_size=len(content))
    assert begun.status_code in {200, 201}
    assert begun.json()["upload_id"] != named["upload_id"]
