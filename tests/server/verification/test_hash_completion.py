"""Hashes of blobs: AutoV1 at verification, AutoV3 and CRC-32 by the job, also for blobs of older releases."""

import hashlib
import struct
import threading
import zlib
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import ColumnElement, select, update

from modelyard.server.database.base import now
from modelyard.server.leases import JobLease
from modelyard.server.scheduler.jobs import build_jobs
from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.digest import ReadStopped
from modelyard.server.uploads.content_hashes import ContentHasher
from modelyard.server.uploads.tables import BlobRow
from modelyard.server.verification.examine import SMALL_BYTES
from modelyard.server.verification.hash_completion import RETRY_PAUSE, HashCompleter
from tests.server.harness import hash_of, make_model_file
from tests.server.models.folders import folder_push
from tests.server.verification.conftest import Pushing
from tests.server.verification.faulty_store import FaultyStore
from tests.server.verification.test_scrub import (
    FAST_RATE,
    flip_last_bit,
    register_verified,
    replace_stored_object,
    scrub,
)
from tests.server.verification.unverified_team import CONTENT, UnverifiedTeam

LARGE = make_model_file("large", SMALL_BYTES + 1)


def build_completer(unverified: UnverifiedTeam, rate: int = FAST_RATE) -> HashCompleter:
    return HashCompleter(unverified.resources.database, unverified.resources.store, unverified.metrics, rate)


def complete(unverified: UnverifiedTeam) -> None:
    """Compute the hashes of all blobs that are due."""
    completer = build_completer(unverified)
    while completer.complete_next():
        pass


def change_blobs(unverified: UnverifiedTeam, *conditions: ColumnElement[bool], **values: Any) -> None:
    with unverified.resources.database.writing() as session:
        session.execute(update(BlobRow).where(*conditions).values(values))


def compute_expected(content: bytes) -> tuple[str, str, str]:
    """Return AutoV1, AutoV3 and CRC-32, computed as stable-diffusion-webui and zip do."""
    autov1 = hashlib.sha256(content[0x100000 : 0x100000 + 0x10000]).hexdigest()[:8]
    autov3 = hashlib.sha256(content[8 + struct.unpack_from("<Q", content)[0] :]).hexdigest()
    return autov1, autov3, f"{zlib.crc32(content):08x}"


def get_hashes(unverified: UnverifiedTeam, model_id: str) -> tuple[str | None, str | None, str | None]:
    blob = unverified.blob(model_id)
    return blob.autov1, blob.autov3, blob.crc32


def register_unhashed(unverified: UnverifiedTeam, content: bytes = CONTENT, path: str = "loras/ink.safetensors") -> str:
    """Register a small file whose hashes the job has to compute, as one that the store hashed when it arrived."""
    model_id = register_verified(unverified, content, path)
    change_blobs(unverified, BlobRow.sha256 == hash_of(content).removeprefix("sha256:"), autov3=None, crc32=None)
    return model_id


def test_verification_of_large_file_computes_autov1_only(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified, LARGE)
    assert get_hashes(unverified, model_id) == (compute_expected(LARGE)[0], None, None)


def test_verified_file_has_autov1_also_if_the_store_has_hashed_it(hashing: Pushing) -> None:
    team, push = hashing
    model_id = push(LARGE)
    if team.state(model_id) != "verified":
        team.verify_all()
    assert get_hashes(team, model_id)[0] == compute_expected(LARGE)[0]


def test_verified_file_of_folder_has_autov1_also_if_the_store_has_hashed_it(hashing: Pushing) -> None:
    team, _ = hashing
    folder_push.register(team.owner, folder_push.make_folder() | {"unet/model.safetensors": LARGE})
    team.verify_all()
    with team.resources.database.reading() as session:
        found = session.scalars(select(BlobRow.autov1).where(BlobRow.sha256 == hash_of(LARGE)[7:])).all()
    assert found == [compute_expected(LARGE)[0]]


def test_copy_of_an_overwritable_store_has_autov1(overwritable: UnverifiedTeam) -> None:
    assert get_hashes(overwritable, register_verified(overwritable, LARGE))[0] == compute_expected(LARGE)[0]


def test_repaired_file_of_older_release_has_autov1(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified, LARGE)
    key = unverified.blob(model_id).store_key
    change_blobs(unverified, BlobRow.store_key == key, autov1=None)
    replace_stored_object(unverified.resources, key, None)
    unverified.age(8)
    scrub(unverified)
    assert unverified.state(model_id) == "failed"
    replace_stored_object(unverified.resources, key, LARGE)
    unverified.age(1.1)
    scrub(unverified)
    assert unverified.state(model_id) == "verified"
    assert get_hashes(unverified, model_id)[0] == compute_expected(LARGE)[0]


def test_verification_of_small_file_computes_all_hashes(unverified: UnverifiedTeam) -> None:
    content = make_model_file("of 1.1 MB", 0x110000)
    model_id = register_verified(unverified, content)
    assert get_hashes(unverified, model_id) == compute_expected(content)


def test_complete_new_blob_computes_autov3_and_crc32(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified, LARGE)
    complete(unverified)
    assert get_hashes(unverified, model_id) == compute_expected(LARGE)
    assert build_completer(unverified).is_due() is False


def test_complete_blob_of_older_release_computes_all_hashes(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified, LARGE)
    change_blobs(unverified, autov1=None)
    complete(unverified)
    assert get_hashes(unverified, model_id) == compute_expected(LARGE)


def test_complete_small_file_has_no_autov1(unverified: UnverifiedTeam) -> None:
    model_id = register_unhashed(unverified)
    complete(unverified)
    assert get_hashes(unverified, model_id) == (None, *compute_expected(CONTENT)[1:])


@pytest.mark.parametrize("size", [5, 0x100000, 0x100001, 0x10FFFF, 0x110000, 0x130000])
@pytest.mark.parametrize("step", [60, 4096, 1 << 20])
def test_content_hasher_pieces_of_any_size_equal_whole_content(size: int, step: int) -> None:
    content = make_model_file("pieces", size)
    hasher = ContentHasher()
    for start in range(0, len(content), step):
        hasher.update(content[start : start + step])
    hashes = hasher.build_hashes()
    autov1, autov3, crc32 = compute_expected(content)
    assert hashes.sha256 == hashlib.sha256(content).hexdigest()
    assert (hashes.autov1, hashes.autov3, hashes.crc32) == (autov1 if len(content) > 0x100000 else None, autov3, crc32)


def test_content_hasher_other_format_has_no_autov3() -> None:
    hasher = ContentHasher()
    hasher.update(b"GGUF" + bytes(100))
    assert hasher.build_hashes().autov3 is None


def test_pending_content_is_listed_by_its_declared_hash_and_matches_no_lookup(unverified: UnverifiedTeam) -> None:
    model_id, declared = unverified.register(LARGE), hash_of(LARGE)
    assert unverified.owner.post("/models/lookup", hashes=[declared]).json()["match_list"] == []
    assert unverified.owner.get(f"/models/{model_id}/hashes").json()["sha256"] is None
    assert len(unverified.owner.get("/models", file_hash=declared).json()["model_list"]) == 1


def test_hashes_of_content_that_failed_verification_are_unknown(unverified: UnverifiedTeam) -> None:
    model_id = unverified.register_wrong_hash()
    unverified.verify_all()
    assert unverified.owner.post("/models/lookup", hashes=[hash_of(CONTENT)]).json()["match_list"] == []
    hashes = unverified.owner.get(f"/models/{model_id}/hashes").json()
    assert {value for name, value in hashes.items() if name != "claim_list"} == {None}


def test_complete_changed_bytes_stores_no_hash_and_requests_a_recheck(unverified: UnverifiedTeam) -> None:
    model_id = register_unhashed(unverified)
    key = unverified.blob(model_id).store_key
    replace_stored_object(unverified.resources, key, flip_last_bit(CONTENT))
    complete(unverified)
    blob = unverified.blob(model_id)
    # Other tests count the corrupt objects of this registry.
    replace_stored_object(unverified.resources, key, CONTENT)
    assert blob.crc32 is None
    assert blob.recheck_since is not None
    assert blob.hash_retry_at is not None


def test_complete_missing_object_is_tried_again_after_the_pause(unverified: UnverifiedTeam) -> None:
    model_id = register_unhashed(unverified)
    key = unverified.blob(model_id).store_key
    replace_stored_object(unverified.resources, key, None)
    complete(unverified)
    assert build_completer(unverified).is_due() is False

    replace_stored_object(unverified.resources, key, CONTENT)
    change_blobs(unverified, hash_retry_at=now() - timedelta(seconds=1))
    complete(unverified)
    assert get_hashes(unverified, model_id)[2] == compute_expected(CONTENT)[2]
    assert unverified.blob(model_id).hash_retry_at is None


def test_complete_blob_that_fails_alone_does_not_stop_the_others(faulty: UnverifiedTeam) -> None:
    first = register_unhashed(faulty)
    other_team = UnverifiedTeam(faulty.registry, store=faulty.resources.store)
    second = register_unhashed(other_team, make_model_file("second"))
    store = faulty.resources.store
    assert isinstance(store, FaultyStore)
    store.failing.add(str(other_team.owner.team_id))
    complete(faulty)
    assert faulty.blob(first).crc32 is not None
    failed = other_team.blob(second)
    assert failed.crc32 is None
    assert failed.hash_retry_at is not None
    assert failed.hash_retry_at > now() + RETRY_PAUSE / 2


def test_complete_small_files_stores_the_hashes_of_all_with_one_write(unverified: UnverifiedTeam) -> None:
    contents = [make_model_file(f"small {number}") for number in range(5)]
    models = [register_unhashed(unverified, one, f"loras/{n}.safetensors") for n, one in enumerate(contents)]
    assert build_completer(unverified).complete_next() is True
    assert [get_hashes(unverified, model_id)[1:] for model_id in models] == [compute_expected(c)[1:] for c in contents]


def test_complete_unavailable_store_postpones_nothing(faulty: UnverifiedTeam) -> None:
    model_id = register_unhashed(faulty)
    store = faulty.resources.store
    assert isinstance(store, FaultyStore)
    store.is_unavailable = True
    with pytest.raises(StoreUnavailable):
        build_completer(faulty).complete_next()
    assert faulty.blob(model_id).hash_retry_at is None


def test_complete_stopped_within_a_slow_read_stores_nothing(unverified: UnverifiedTeam) -> None:
    model_id = register_verified(unverified, LARGE)
    completer = build_completer(unverified, rate=1)
    threading.Timer(0.1, completer.stop).start()
    with suppress(ReadStopped):
        completer.complete_next()
    assert completer.complete_next() is False
    assert unverified.blob(model_id).crc32 is None
    complete(unverified)
    assert unverified.blob(model_id).crc32 is not None


def test_hashes_job_computes_hashes_unless_another_process_has_the_lease(unverified: UnverifiedTeam) -> None:
    model_id = register_unhashed(unverified)
    [job] = [job for job in build_jobs(unverified.resources, unverified.metrics) if job.name == "hashes"]
    other_process = JobLease(unverified.resources.database, "hashes")
    assert other_process.acquire()
    job.do()
    assert unverified.blob(model_id).crc32 is None
    other_process.release(is_done=False)
    job.do()
    assert unverified.blob(model_id).crc32 is not None


def test_hash_rate_0_builds_no_hashes_job(unverified: UnverifiedTeam) -> None:
    settings = unverified.resources.settings.model_copy(update={"hash_rate": 0})
    jobs = build_jobs(replace(unverified.resources, settings=settings), unverified.metrics)
    assert "hashes" not in {job.name for job in jobs}
