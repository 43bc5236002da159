"""Digests that are made while a file is written."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from modelyard.server.storage.blob_store import Digest
from modelyard.server.storage.digest import digest_of
from modelyard.server.storage.following import Hashers
from tests.server.storage.place import noise, until

STEP = 1 << 20
SIZE = 3 * STEP + 5


@pytest.fixture
def hashers() -> Iterator[Hashers]:
    hashers = Hashers(threads=2)
    yield hashers
    hashers.close()


@pytest.fixture
def body() -> bytes:
    return noise(SIZE)


@pytest.fixture
def file(tmp_path: Path, body: bytes) -> Path:
    path = tmp_path / "bytes"
    path.write_bytes(body)
    return path


def right(body: bytes) -> Digest:
    return Digest(hashlib.sha256(body).hexdigest(), blake3(body).hexdigest())


def test_one_pass_makes_both_digests(body: bytes) -> None:
    assert digest_of([body[:1000], memoryview(body)[1000:]]) == right(body)


def test_the_digest_is_there_when_the_last_byte_is(hashers: Hashers, file: Path, body: bytes) -> None:
    following = hashers.follow(file, SIZE, STEP)
    for frontier in (1, 700_000, STEP, 2 * STEP + 1, SIZE - 1):
        following.advance(frontier)
        assert following.digest is None
    following.advance(SIZE)
    assert following.wait(10) == right(body)


def test_nobody_waits_longer_than_asked(hashers: Hashers, file: Path) -> None:
    following = hashers.follow(file, SIZE, STEP)
    following.advance(SIZE - 1)
    assert following.wait(0.05) is None


@pytest.mark.parametrize("back_to", [0, STEP, 2 * STEP, 3 * STEP])
def test_a_part_written_again_is_hashed_again(hashers: Hashers, file: Path, body: bytes, back_to: int) -> None:
    with file.open("r+b") as wrong:
        wrong.seek(back_to)
        wrong.write(noise(5))
    following = hashers.follow(file, SIZE, STEP)
    following.advance(SIZE)
    assert following.wait(10) != right(body)
    following.rewind(back_to)
    assert following.digest is None
    with file.open("r+b") as again:  # in place, as parts are: a file that is cut short under its reader is lost
        again.write(body)
    following.advance(SIZE)
    assert following.wait(10) == right(body)


def test_a_part_written_again_while_it_is_read_is_hashed_again(hashers: Hashers, file: Path, body: bytes) -> None:
    following = hashers.follow(file, SIZE, STEP)
    wrong = noise(STEP)
    for attempt in range(100):
        following.rewind(0)
        with file.open("r+b") as writer:
            writer.write(wrong)
            following.advance(STEP)
            # Somewhere inside the piece that a thread is reading and hashing now.
            time.sleep(attempt * 0.00002)
            following.rewind(0)
            writer.seek(0)
            writer.write(body[:STEP])
            writer.flush()
        following.advance(SIZE)
        assert following.wait(10) == right(body)


def test_a_file_that_is_gone_has_no_digest(hashers: Hashers, file: Path) -> None:
    following = hashers.follow(file, SIZE, STEP)
    file.unlink()
    following.advance(SIZE)
    assert following.wait(10) is None


def test_a_file_may_move_while_it_is_followed(hashers: Hashers, file: Path, body: bytes) -> None:
    following = hashers.follow(file, SIZE, STEP)
    following.advance(STEP)
    with following.moving():
        following.path = file.rename(file.with_name("moved"))
    following.advance(SIZE)
    assert following.wait(10) == right(body)


def test_many_files_share_the_threads(hashers: Hashers, file: Path, body: bytes) -> None:
    followings = [hashers.follow(file, SIZE, STEP) for _ in range(20)]
    for following in followings:
        following.advance(SIZE)
    assert {following.wait(10) for following in followings} == {right(body)}


def test_nobody_waits_for_threads_that_are_gone(file: Path) -> None:
    hashers = Hashers(threads=1)
    following = hashers.follow(file, SIZE, STEP)
    hashers.close()
    following.advance(SIZE)
    assert following.wait(10) is None


def test_an_upload_has_its_digest_when_it_is_finished(hashers: Hashers, file: Path, body: bytes) -> None:
    following = hashers.follow(file, SIZE, STEP)
    following.advance(SIZE)
    hashers.remember("key", following)
    until(lambda: following.digest is not None)
    found = hashers.of("key")
    assert found is not None
    assert found.digest == right(body)
    hashers.remember("key", None)
    assert hashers.of("key") is None
