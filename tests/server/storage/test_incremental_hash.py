"""Digests that are computed while a file is written."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from modelyard.server.storage.blob_store import Digest
from modelyard.server.storage.digest import compute_digest
from modelyard.server.storage.local.incremental_hash import HashThreads
from tests.server.storage.served_store import noise
from tests.waiting import PATIENCE_SECONDS, pause, wait_until

STEP = 1 << 20
SIZE = 3 * STEP + 5


@pytest.fixture
def hash_threads() -> Iterator[HashThreads]:
    hash_threads = HashThreads(threads=2)
    yield hash_threads
    hash_threads.close()


@pytest.fixture
def body() -> bytes:
    return noise(SIZE)


@pytest.fixture
def file(tmp_path: Path, body: bytes) -> Path:
    path = tmp_path / "bytes"
    path.write_bytes(body)
    return path


def expected_digest(body: bytes) -> Digest:
    return Digest(hashlib.sha256(body).hexdigest(), blake3(body).hexdigest())


def test_compute_digest_returns_sha256_and_blake3(body: bytes) -> None:
    assert compute_digest([body[:1000], memoryview(body)[1000:]]) == expected_digest(body)


def test_wait_for_digest_after_last_byte_returns_digest(hash_threads: HashThreads, file: Path, body: bytes) -> None:
    hash_in_progress = hash_threads.start_hash(file, SIZE, STEP)
    for frontier in (1, 700_000, STEP, 2 * STEP + 1, SIZE - 1):
        hash_in_progress.advance(frontier)
        assert hash_in_progress.digest is None
    hash_in_progress.advance(SIZE)
    assert hash_in_progress.wait_for_digest(PATIENCE_SECONDS) == expected_digest(body)


def test_wait_for_digest_incomplete_file_returns_none_after_timeout(hash_threads: HashThreads, file: Path) -> None:
    hash_in_progress = hash_threads.start_hash(file, SIZE, STEP)
    hash_in_progress.advance(SIZE - 1)
    assert hash_in_progress.wait_for_digest(0.05) is None


@pytest.mark.parametrize("back_to", [0, STEP, 2 * STEP, 3 * STEP])
def test_rewind_after_hashing_hashes_new_bytes(
    hash_threads: HashThreads, file: Path, body: bytes, back_to: int
) -> None:
    with file.open("r+b") as wrong:
        wrong.seek(back_to)
        wrong.write(noise(5))
    hash_in_progress = hash_threads.start_hash(file, SIZE, STEP)
    hash_in_progress.advance(SIZE)
    assert hash_in_progress.wait_for_digest(PATIENCE_SECONDS) != expected_digest(body)
    hash_in_progress.rewind(back_to)
    assert hash_in_progress.digest is None
    with file.open("r+b") as again:  # in place, as parts are: a file that is cut short under its reader is lost
        again.write(body)
    hash_in_progress.advance(SIZE)
    assert hash_in_progress.wait_for_digest(PATIENCE_SECONDS) == expected_digest(body)


def test_rewind_during_hashing_hashes_new_bytes(hash_threads: HashThreads, file: Path, body: bytes) -> None:
    hash_in_progress = hash_threads.start_hash(file, SIZE, STEP)
    wrong = noise(STEP)
    for attempt in range(100):
        hash_in_progress.rewind(0)
        with file.open("r+b") as writer:
            writer.write(wrong)
            hash_in_progress.advance(STEP)
            # Somewhere inside the piece that a thread is reading and hashing now.
            pause(attempt * 0.00002)
            hash_in_progress.rewind(0)
            writer.seek(0)
            writer.write(body[:STEP])
            writer.flush()
        hash_in_progress.advance(SIZE)
        assert hash_in_progress.wait_for_digest(PATIENCE_SECONDS) == expected_digest(body)


def test_wait_for_digest_missing_file_returns_none(hash_threads: HashThreads, file: Path) -> None:
    hash_in_progress = hash_threads.start_hash(file, SIZE, STEP)
    file.unlink()
    hash_in_progress.advance(SIZE)
    assert hash_in_progress.wait_for_digest(PATIENCE_SECONDS) is None


def test_paused_for_rename_during_hashing_keeps_digest(hash_threads: HashThreads, file: Path, body: bytes) -> None:
    hash_in_progress = hash_threads.start_hash(file, SIZE, STEP)
    hash_in_progress.advance(STEP)
    with hash_in_progress.paused_for_rename():
        hash_in_progress.path = file.rename(file.with_name("moved"))
    hash_in_progress.advance(SIZE)
    assert hash_in_progress.wait_for_digest(PATIENCE_SECONDS) == expected_digest(body)


def test_hash_threads_many_files_all_get_digests(hash_threads: HashThreads, file: Path, body: bytes) -> None:
    followings = [hash_threads.start_hash(file, SIZE, STEP) for _ in range(20)]
    for hash_in_progress in followings:
        hash_in_progress.advance(SIZE)
    assert {hash_in_progress.wait_for_digest(PATIENCE_SECONDS) for hash_in_progress in followings} == {
        expected_digest(body)
    }


def test_close_with_waiting_caller_returns_no_digest(file: Path) -> None:
    hash_threads = HashThreads(threads=1)
    hash_in_progress = hash_threads.start_hash(file, SIZE, STEP)
    hash_threads.close()
    hash_in_progress.advance(SIZE)
    assert hash_in_progress.wait_for_digest(PATIENCE_SECONDS) is None


def test_find_hash_after_set_hash_returns_digest(hash_threads: HashThreads, file: Path, body: bytes) -> None:
    hash_in_progress = hash_threads.start_hash(file, SIZE, STEP)
    hash_in_progress.advance(SIZE)
    hash_threads.set_hash("key", hash_in_progress)
    wait_until(lambda: hash_in_progress.digest is not None)
    found = hash_threads.find_hash("key")
    assert found is not None
    assert found.digest == expected_digest(body)
    hash_threads.set_hash("key", None)
    assert hash_threads.find_hash("key") is None
