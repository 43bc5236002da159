import asyncio
import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelyard.transfer.errors import DiskFailed, FileChanged, FileMoved
from modelyard.transfer.hashing import DigestCache, compute_sha256
from modelyard.transfer.progress import Hashed, ProgressEvent, ignore_progress
from modelyard.transfer.source_file import FileIdentity, SourceFile
from tests.waiting import PATIENCE_SECONDS, wait_until_async

_LONG_AGO = 1_700_000_000


@pytest.fixture
def cache(tmp_path: Path) -> DigestCache:
    return DigestCache(tmp_path / "cache" / "digests.sqlite")


@pytest.fixture
def old_file(file: Path) -> Path:
    """Create a file whose modification time is old enough for its digest to be cached."""
    os.utime(file, (_LONG_AGO, _LONG_AGO))
    return file


def _cache_wrong_digest(cache: DigestCache, path: Path) -> str:
    """Cache a wrong digest, so that a test can see whether the cache is used."""
    with SourceFile(path) as source:
        cache.save_digest(path, source.identity, "0" * 64)
    return "0" * 64


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_compute_sha256_returns_digest_and_reports_progress(file: Path) -> None:
    events: list[ProgressEvent] = []

    assert asyncio.run(compute_sha256(file, events.append)) == _hash_file(file)
    assert events[-1] == Hashed(file, 1_000_000, 1_000_000)


def test_compute_sha256_empty_file_returns_digest(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()

    assert asyncio.run(compute_sha256(empty)) == hashlib.sha256().hexdigest()


def test_compute_sha256_missing_file_raises_disk_failed(tmp_path: Path) -> None:
    with pytest.raises(DiskFailed, match="No such file"):
        asyncio.run(compute_sha256(tmp_path / "absent"))


@pytest.mark.parametrize("change", ["appended", "cut", "replaced", "rewritten", "removed"])
def test_compute_sha256_file_changed_meanwhile_raises_file_changed(
    file: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with file.open("ab") as grow:
        grow.truncate(80_000_000)
    read = SourceFile.readinto

    def read_and_change(source: SourceFile, buffer: memoryview, offset: int) -> int:
        count = read(source, buffer, offset)
        monkeypatch.setattr(SourceFile, "readinto", read)
        _change_file(file, change)
        return count

    monkeypatch.setattr(SourceFile, "readinto", read_and_change)
    with pytest.raises(FileChanged):
        asyncio.run(compute_sha256(file))


def test_ensure_unchanged_path_below_file_raises_file_moved(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_bytes(b"bytes")
    with SourceFile(tmp_path / "folder/file") as source:
        (tmp_path / "folder").rename(tmp_path / "other")
        (tmp_path / "folder").touch()

        with pytest.raises(FileMoved):
            source.ensure_unchanged()


def test_ensure_unchanged_unreadable_path_raises_disk_failed(file: Path) -> None:
    with SourceFile(file) as source:
        file.unlink()
        file.symlink_to(file)

        with pytest.raises(DiskFailed):
            source.ensure_unchanged()


def _change_file(file: Path, change: str) -> None:
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


def test_compute_sha256_cancelled_stops_reading(file: Path) -> None:
    with file.open("ab") as grow:
        grow.truncate(4_000_000_000_000)  # takes half an hour

    async def work() -> None:
        events: list[ProgressEvent] = []
        hashing = asyncio.create_task(compute_sha256(file, events.append))
        await wait_until_async(lambda: events)
        hashing.cancel()
        await asyncio.wait([hashing])
        assert hashing.cancelled()
        await wait_until_async(lambda: not any(each.name.startswith("transfer") for each in threading.enumerate()))

    asyncio.run(work())


def test_compute_sha256_cached_file_is_not_read(cache: DigestCache, old_file: Path) -> None:
    poisoned = _cache_wrong_digest(cache, old_file)

    assert asyncio.run(compute_sha256(old_file, ignore_progress, cache=cache)) == poisoned


def test_compute_sha256_saves_digest_in_cache(cache: DigestCache, old_file: Path) -> None:
    asyncio.run(compute_sha256(old_file, ignore_progress, cache=cache))

    with SourceFile(old_file) as source:
        assert cache.find_digest(old_file, source.identity) == _hash_file(old_file)


def test_find_digest_file_modified_since_returns_none(cache: DigestCache, old_file: Path) -> None:
    _cache_wrong_digest(cache, old_file)
    old_file.write_bytes(os.urandom(1_000_000))

    assert asyncio.run(compute_sha256(old_file, ignore_progress, cache=cache)) == _hash_file(old_file)


def test_save_digest_file_modified_just_now_is_not_cached(cache: DigestCache, file: Path) -> None:
    _cache_wrong_digest(cache, file)

    assert asyncio.run(compute_sha256(file, ignore_progress, cache=cache)) == _hash_file(file)


def test_save_digest_of_many_small_files_is_written_once_until_save(cache: DigestCache, tmp_path: Path) -> None:
    for number in range(50):
        cache.save_digest(Path(f"/{number}"), FileIdentity(1, 1, 1), "a" * 64)
    assert [cache.find_digest(Path(f"/{number}"), FileIdentity(1, 1, 1)) for number in range(50)] == ["a" * 64] * 50
    assert cache.find_digest(Path("/49"), FileIdentity(1, 2, 1)) is None
    with sqlite3.connect(tmp_path / "cache" / "digests.sqlite") as database:
        assert database.execute("SELECT count(*) FROM digests").fetchone() == (1,)
        cache.save()
        assert database.execute("SELECT count(*) FROM digests").fetchone() == (50,)


def test_save_digest_undecodable_file_name_is_cached(cache: DigestCache, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.safetensors"))
    path.write_bytes(b"bytes")
    os.utime(path, (_LONG_AGO, _LONG_AGO))

    assert asyncio.run(compute_sha256(path, ignore_progress, cache=cache)) == _hash_file(path)
    with SourceFile(path) as source:
        assert cache.find_digest(path, source.identity) == _hash_file(path)


@pytest.mark.parametrize("content", [b"not a database", b"", b"SQLite format 3\x00" + bytes(4000)])
def test_digest_cache_corrupt_database_is_recreated(tmp_path: Path, old_file: Path, content: bytes) -> None:
    broken = tmp_path / "digests.sqlite"
    broken.write_bytes(content)
    cache = DigestCache(broken)

    assert asyncio.run(compute_sha256(old_file, ignore_progress, cache=cache)) == _hash_file(old_file)

    asyncio.run(compute_sha256(old_file, ignore_progress, cache=cache))
    with SourceFile(old_file) as source:
        assert cache.find_digest(old_file, source.identity) == _hash_file(old_file)


def test_digest_cache_unwritable_database_returns_none(tmp_path: Path, old_file: Path) -> None:
    (tmp_path / "blocked").write_bytes(b"a file where a folder should be")
    cache = DigestCache(tmp_path / "blocked" / "digests.sqlite")

    assert asyncio.run(compute_sha256(old_file, ignore_progress, cache=cache)) == _hash_file(old_file)


def test_find_digest_invalid_cached_value_returns_none(tmp_path: Path, old_file: Path) -> None:
    cache = DigestCache(tmp_path / "digests.sqlite")
    _cache_wrong_digest(cache, old_file)
    with sqlite3.connect(tmp_path / "digests.sqlite") as database:
        database.execute("UPDATE digests SET sha256 = 'nonsense'")

    assert asyncio.run(compute_sha256(old_file, ignore_progress, cache=cache)) == _hash_file(old_file)


def test_save_digest_from_two_processes_keeps_all_digests(tmp_path: Path) -> None:
    program = """
import sys
import threading
from pathlib import Path
from modelyard.transfer.hashing import DigestCache
from modelyard.transfer.source_file import FileIdentity
cache = DigestCache(Path(sys.argv[1]))
for number in range(50):
    cache.save_digest(Path(f"/{sys.argv[2]}/{number}"), FileIdentity(1, 1, 1), "a" * 64)
    cache.save()
"""
    database = tmp_path / "digests.sqlite"
    both = [subprocess.Popen([sys.executable, "-c", program, str(database), name]) for name in "ab"]

    assert [process.wait(PATIENCE_SECONDS) for process in both] == [0, 0]
    cache = DigestCache(database)
    known = [
        cache.find_digest(Path(f"/{name}/{number}"), FileIdentity(1, 1, 1)) for name in "ab" for number in range(50)
    ]
    assert known == ["a" * 64] * 100
