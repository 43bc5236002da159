import asyncio
import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.transfer.failures import DiskFailed, FileChanged
from modelyard.transfer.hashing import DigestCache, sha256_of
from modelyard.transfer.progress import Event, Hashed, unheard
from modelyard.transfer.source import Identity, Source

_LONG_AGO = 1_700_000_000


@pytest.fixture
def cache(tmp_path: Path) -> DigestCache:
    return DigestCache(tmp_path / "cache" / "digests.sqlite")


@pytest.fixture
def settled(file: Path) -> Path:
    """A file that nobody has written for long, so that its digest may be remembered."""
    os.utime(file, (_LONG_AGO, _LONG_AGO))
    return file


def _poison(cache: DigestCache, path: Path) -> str:
    """Note a wrong digest, so that a test sees whether the cache was asked."""
    with Source(path) as source:
        cache.note(path, source.identity, "0" * 64)
    return "0" * 64


def _right(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_digest_is_the_one_of_the_bytes(file: Path) -> None:
    heard: list[Event] = []

    assert asyncio.run(sha256_of(file, heard.append)) == _right(file)
    assert heard[-1] == Hashed(file, 1_000_000, 1_000_000)


def test_an_empty_file_has_a_digest(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()

    assert asyncio.run(sha256_of(empty)) == hashlib.sha256().hexdigest()


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DiskFailed, match="No such file"):
        asyncio.run(sha256_of(tmp_path / "absent"))


@pytest.mark.parametrize("change", ["appended", "cut", "replaced", "rewritten", "removed"])
def test_a_file_that_changes_while_it_is_hashed_has_no_digest(
    file: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with file.open("ab") as grow:
        grow.truncate(80_000_000)
    read = Source.readinto

    def read_and_change(source: Source, buffer: memoryview, offset: int) -> int:
        count = read(source, buffer, offset)
        monkeypatch.setattr(Source, "readinto", read)
        _change(file, change)
        return count

    monkeypatch.setattr(Source, "readinto", read_and_change)
    with pytest.raises(FileChanged):
        asyncio.run(sha256_of(file))


def _change(file: Path, change: str) -> None:
    match change:
        case "appended":
            with file.open("ab") as end:
                end.write(b"x")
        case "cut":
            os.truncate(file, 70_000_000)
        case "replaced":
            (file.parent / "other").write_bytes(b"other")
            (file.parent / "other").replace(file)
        case "rewritten":
            with file.open("r+b") as start:
                start.write(b"x")
        case "removed":
            file.unlink()


def test_a_cancelled_hash_stops_reading(file: Path) -> None:
    with file.open("ab") as grow:
        grow.truncate(50_000_000_000)

    async def work() -> None:
        async with asyncio.timeout(0.1):
            await sha256_of(file)

    with pytest.raises(TimeoutError):
        asyncio.run(work())  # would take half a minute otherwise


def test_a_known_file_is_not_read_again(cache: DigestCache, settled: Path) -> None:
    poisoned = _poison(cache, settled)

    assert asyncio.run(sha256_of(settled, unheard, cache=cache)) == poisoned


def test_a_hashed_file_is_known_afterwards(cache: DigestCache, settled: Path) -> None:
    asyncio.run(sha256_of(settled, unheard, cache=cache))

    with Source(settled) as source:
        assert cache.known(settled, source.identity) == _right(settled)


def test_a_file_written_again_is_unknown(cache: DigestCache, settled: Path) -> None:
    _poison(cache, settled)
    settled.write_bytes(os.urandom(1_000_000))

    assert asyncio.run(sha256_of(settled, unheard, cache=cache)) == _right(settled)


def test_a_file_written_just_now_is_not_remembered(cache: DigestCache, file: Path) -> None:
    _poison(cache, file)

    assert asyncio.run(sha256_of(file, unheard, cache=cache)) == _right(file)


def test_a_name_that_is_no_text_can_be_remembered(cache: DigestCache, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.safetensors"))
    path.write_bytes(b"bytes")
    os.utime(path, (_LONG_AGO, _LONG_AGO))

    assert asyncio.run(sha256_of(path, unheard, cache=cache)) == _right(path)
    with Source(path) as source:
        assert cache.known(path, source.identity) == _right(path)


@pytest.mark.parametrize("content", [b"not a database", b"", b"SQLite format 3\x00" + bytes(4000)])
def test_a_broken_cache_is_an_empty_one(tmp_path: Path, settled: Path, content: bytes) -> None:
    broken = tmp_path / "digests.sqlite"
    broken.write_bytes(content)
    cache = DigestCache(broken)

    assert asyncio.run(sha256_of(settled, unheard, cache=cache)) == _right(settled)

    asyncio.run(sha256_of(settled, unheard, cache=cache))
    with Source(settled) as source:
        assert cache.known(settled, source.identity) == _right(settled)


def test_a_cache_that_cannot_be_written_is_an_empty_one(tmp_path: Path, settled: Path) -> None:
    (tmp_path / "blocked").write_bytes(b"a file where a folder should be")
    cache = DigestCache(tmp_path / "blocked" / "digests.sqlite")

    assert asyncio.run(sha256_of(settled, unheard, cache=cache)) == _right(settled)


def test_a_cache_that_holds_nonsense_does_not_give_it_out(tmp_path: Path, settled: Path) -> None:
    cache = DigestCache(tmp_path / "digests.sqlite")
    _poison(cache, settled)
    with sqlite3.connect(tmp_path / "digests.sqlite") as database:
        database.execute("UPDATE digests SET sha256 = 'nonsense'")

    assert asyncio.run(sha256_of(settled, unheard, cache=cache)) == _right(settled)


def test_two_processes_remember_at_once(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from modelyard.transfer.hashing import DigestCache
from modelyard.transfer.source import Identity
cache = DigestCache(Path(sys.argv[1]))
for number in range(50):
    cache.note(Path(f"/{sys.argv[2]}/{number}"), Identity(1, 1, 1), "a" * 64)
"""
    database = tmp_path / "digests.sqlite"
    both = [subprocess.Popen([sys.executable, "-c", program, str(database), name]) for name in "ab"]

    assert [process.wait(30) for process in both] == [0, 0]
    cache = DigestCache(database)
    known = [cache.known(Path(f"/{name}/{number}"), Identity(1, 1, 1)) for name in "ab" for number in range(50)]
    assert known == ["a" * 64] * 100
