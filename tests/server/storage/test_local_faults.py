"""The folder store when processes are killed, and disks fail or are full."""

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelyard.server.storage.blob_store import (
    FolderInUse,
    NamedPart,
    NoSuchUpload,
    StoredPart,
    StoreFull,
)
from modelyard.server.storage.local.folder import find_lock_holder, lock_folder
from modelyard.server.storage.local.parts_journal import JOURNAL, PartsJournal
from modelyard.server.storage.local.routes import build_blob_app
from modelyard.server.storage.local.store import LocalStore
from tests.server.storage import part_writer
from tests.server.storage.served_store import HOUR, ServedStore, noise, serving
from tests.waiting import PATIENCE_SECONDS, pause, wait_until

PART, COUNT = 256 << 10, 4


def new_key() -> str:
    return f"models/{uuid.uuid4()}/{uuid.uuid4()}"


def opened(root: Path) -> LocalStore:
    return LocalStore(root, part_writer.SECRET)


def writer(root: Path, *arguments: str, under: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    program = Path(part_writer.__file__)
    return subprocess.Popen(
        [*under, sys.executable, str(program), str(root), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def parse_writer_output(lines: list[str]) -> tuple[dict[int, str], set[int]]:
    """Return the parts that the process confirmed, and those that were being written when it died."""
    done: dict[int, str] = {}
    unsure: set[int] = set()
    for line in lines:
        words = line.split()
        if words[:1] == ["begin"] and len(words) == 2:
            done.pop(int(words[1]), None)
            unsure.add(int(words[1]))
        elif words[:1] == ["done"] and len(words) == 3:
            done[int(words[1])] = words[2]
            unsure.discard(int(words[1]))
    return done, unsure


def test_kill_during_part_writes_keeps_every_confirmed_part_listed_and_whole(tmp_path: Path) -> None:
    key = new_key()
    store = opened(tmp_path)
    upload = store.start_multipart(key, PART * COUNT, PART)
    store.close()
    known: dict[int, str] = {}
    for round_number in range(6):
        process = writer(tmp_path, "parts", key, upload, str(PART), str(COUNT))
        assert process.stdout is not None
        first = process.stdout.readline()
        pause(0.02 + 0.017 * round_number)
        process.kill()
        done, unsure = parse_writer_output([first, *process.stdout.read().splitlines()])
        process.wait()
        known = {number: token for number, token in known.items() if number not in unsure} | done

        store = opened(tmp_path)
        listed = {part.number for part in store.list_parts(key, upload)}
        content = (store.folder.uploads / upload / "bytes").read_bytes()
        store.close()
        assert known.keys() <= listed
        for number in listed:
            blocks = {content[at : at + 16] for at in range((number - 1) * PART, number * PART, 16)}
            assert len(blocks) == 1, f"part {number} is torn"
            assert number not in known or blocks == {known[number].encode()}


def test_resume_upload_after_restart_finishes_with_recomputed_digest(tmp_path: Path) -> None:
    key, body = new_key(), noise(PART * 2)
    store = opened(tmp_path)
    upload = store.start_multipart(key, PART * 2, PART)
    first = _written(store, key, upload, 1, body[:PART])
    store.close()

    store = opened(tmp_path)
    second = _written(store, key, upload, 2, body[PART:])
    store.finish_multipart(key, upload, [first, second])
    digest = store.wait_for_digest(key, PATIENCE_SECONDS)
    assert digest is not None
    assert b"".join(store.read(key, 0, PART * 2)) == body
    store.close()

    store = opened(tmp_path)
    store.finish_multipart(key, upload, [first, second])
    stored = store.stat(key)
    assert stored is not None
    assert (stored.size, stored.digest) == (PART * 2, None)
    store.close()


def _written(store: LocalStore, key: str, upload: str, number: int, body: bytes) -> NamedPart:
    writing = store.open_part_writer(key, upload, number)
    writing.write([body])
    return NamedPart(number, writing.commit())


def test_delete_leftovers_removes_half_written_files_only(tmp_path: Path) -> None:
    store = opened(tmp_path)
    whole, half, open_key = new_key(), new_key(), new_key()
    writing = store.open_whole_writer(whole, 5, None)
    writing.write([b"bytes"])
    writing.commit()
    store.open_whole_writer(half, 5, None).write([b"by"])
    upload = store.start_multipart(open_key, 10, 5)
    part = _written(store, open_key, upload, 1, b"bytes")
    store.close()

    with lock_folder(tmp_path) as held:
        store = opened(tmp_path)
        assert store.delete_leftovers(held) == 1
    assert b"".join(store.read(whole, 0, 10)) == b"bytes"
    assert store.stat(half) is None
    assert [found.etag for found in store.list_parts(open_key, upload)] == [part.etag]
    store.close()


def test_list_keys_slow_upload_has_time_of_its_finish(tmp_path: Path) -> None:
    store = opened(tmp_path)
    key = new_key()
    upload = store.start_multipart(key, 5, 5)
    part = _written(store, key, upload, 1, b"bytes")
    os.utime(store.folder.uploads / upload, (0, 0))
    store.finish_multipart(key, upload, [part])
    (found,) = store.list_keys("models/")
    assert found.modified > datetime.now(UTC) - timedelta(minutes=1)
    store.close()


def test_delete_leftovers_with_lock_of_other_folder_raises(tmp_path: Path) -> None:
    store = opened(tmp_path / "one")
    with lock_folder(tmp_path / "two") as held, pytest.raises(ValueError):
        store.delete_leftovers(held)
    store.close()


def test_lock_folder_locked_by_other_process_names_its_id(tmp_path: Path) -> None:
    key = new_key()
    store = opened(tmp_path)
    upload = store.start_multipart(key, PART * COUNT, PART)
    process = writer(tmp_path, "parts", key, upload, str(PART), str(COUNT))
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(FolderInUse) as refused:
        lock_folder(tmp_path)
    assert refused.value.facts == {"process": str(process.pid)}
    assert find_lock_holder(tmp_path) == str(process.pid)
    process.kill()
    process.wait()
    assert find_lock_holder(tmp_path) is None
    lock_folder(tmp_path).release()
    store.close()


def test_find_lock_holder_in_a_folder_without_a_registry_creates_nothing(tmp_path: Path) -> None:
    assert find_lock_holder(tmp_path / "new") is None
    assert find_lock_holder(tmp_path) is None
    assert [*tmp_path.iterdir()] == []


# The journal of parts.


def journal_with(path: Path, *numbers: int) -> PartsJournal:
    path.write_bytes(b"")
    journal = PartsJournal(path)
    journal.load()
    for number in numbers:
        journal.add_part(StoredPart(number, f"etag{number}", 10))
    return journal


def test_load_journal_truncated_at_any_byte_lists_whole_lines(tmp_path: Path) -> None:
    journal = journal_with(tmp_path / JOURNAL, 1, 2)
    journal.remove_part(1)
    content = (tmp_path / JOURNAL).read_bytes()
    ends = [0, *(match.end() for match in re.finditer(rb"\n", content))]
    expected = [set[int](), {1}, {1, 2}, {2}]
    for length in range(len(content) + 1):
        (tmp_path / "torn").write_bytes(content[:length])
        listed = PartsJournal(tmp_path / "torn").load().keys()
        assert listed == expected[max(n for n, end in enumerate(ends) if end <= length)]


def test_append_after_load_of_truncated_journal_succeeds(tmp_path: Path) -> None:
    journal_with(tmp_path / JOURNAL, 1, 2)
    torn = (tmp_path / JOURNAL).read_bytes()[:-3] + bytes(200)
    (tmp_path / JOURNAL).write_bytes(torn)
    journal = PartsJournal(tmp_path / JOURNAL)
    journal.load()
    journal.add_part(StoredPart(3, "etag3", 10))
    assert PartsJournal(tmp_path / JOURNAL).load().keys() == {1, 3}


def test_load_journal_damaged_in_middle_lists_nothing(tmp_path: Path) -> None:
    journal_with(tmp_path / JOURNAL, 1, 2)
    content = bytearray((tmp_path / JOURNAL).read_bytes())
    content[12] ^= 1
    (tmp_path / JOURNAL).write_bytes(content)
    assert PartsJournal(tmp_path / JOURNAL).load() == {}


# Full disks.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("mounting needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_put_on_full_disk_is_refused_before_body_and_leaves_nothing(small_disk: Path) -> None:
    store = opened(small_disk)
    with serving(build_blob_app(store)) as port:
        served_store = ServedStore(store, port)
        key, other = new_key(), new_key()
        assert served_store.put(key, noise(9 << 20)).status == 507
        with pytest.raises(StoreFull):
            store.start_multipart(other, 9 << 20, 1 << 20)
        assert store.stat(key) is None
        assert list(store.folder.incoming.iterdir()) == []
        assert list(store.folder.uploads.iterdir()) == []
        assert served_store.put(key, noise(1 << 20)).status == 200
    store.close()


def test_start_multipart_large_file_allocates_no_disk_space(small_disk: Path) -> None:
    store = opened(small_disk)
    free = store.get_free_bytes()
    for _ in range(20):
        store.start_multipart(new_key(), 6 << 20, 1 << 20)
    writings = [store.open_whole_writer(new_key(), 6 << 20, None) for _ in range(20)]
    assert store.get_free_bytes() > free - (1 << 20)
    key, body = new_key(), noise(4 << 20)
    upload = store.start_multipart(key, 4 << 20, 4 << 20)
    store.finish_multipart(key, upload, [_written(store, key, upload, 1, body)])
    assert b"".join(store.read(key, 0, 5 << 20)) == body
    for writing in writings:
        writing.discard()
    store.close()


def test_open_part_writer_rest_does_not_fit_is_refused_until_space_is_free(small_disk: Path) -> None:
    store = opened(small_disk)
    key, body = new_key(), noise(6 << 20)
    upload = store.start_multipart(key, 6 << 20, 1 << 20)
    named = [_written(store, key, upload, 1, body[: 1 << 20])]
    filler = store.open_whole_writer(new_key(), 3 << 20, None)
    filler.write([noise(3 << 20)])
    with pytest.raises(StoreFull) as refused:
        store.open_part_writer(key, upload, 2)
    assert refused.value.facts["needed_bytes"] == 5 << 20
    assert [part.number for part in store.list_parts(key, upload)] == [1]
    filler.discard()
    wait_until(lambda: store.get_free_bytes() > 5 << 20)
    named += [_written(store, key, upload, n, body[(n - 1) << 20 : n << 20]) for n in range(2, 7)]
    store.finish_multipart(key, upload, named)
    assert b"".join(store.read(key, 0, 7 << 20)) == body
    store.close()


def test_uploads_competing_for_last_space_one_finishes_and_other_is_refused_early(small_disk: Path) -> None:
    store = opened(small_disk)
    keys = [new_key(), new_key()]
    uploads = [store.start_multipart(key, 5 << 20, 1 << 20) for key in keys]
    named: list[list[NamedPart]] = [[], []]
    refused = set()
    for number in range(1, 6):
        writings = []
        for one in (0, 1):
            try:
                writings.append((one, store.open_part_writer(keys[one], uploads[one], number)))
            except StoreFull:
                refused.add(one)
        for one, writing in writings:
            writing.write([noise(1 << 20)])
            named[one].append(NamedPart(number, writing.commit()))
    [loser] = refused
    assert len(named[loser]) <= 1
    assert len(store.list_parts(keys[loser], uploads[loser])) == len(named[loser])
    winner = 1 - loser
    store.finish_multipart(keys[winner], uploads[winner], named[winner])
    assert store.stat(keys[winner]) is not None
    store.close()


def test_put_into_reserved_disk_space_is_refused(small_disk: Path) -> None:
    store = opened(small_disk)
    with pytest.raises(StoreFull):
        store.open_whole_writer(new_key(), store.get_free_bytes() + 1, None)
    store.open_whole_writer(new_key(), store.get_free_bytes(), None).discard()
    disk = os.statvfs(small_disk)
    assert disk.f_bavail * disk.f_frsize - store.get_free_bytes() == disk.f_blocks * disk.f_frsize // 50
    store.close()


def test_commit_part_journal_write_fails_is_not_confirmed(small_disk: Path) -> None:
    store = opened(small_disk)
    key = new_key()
    upload = store.start_multipart(key, 2 << 20, 1 << 20)
    writing = store.open_part_writer(key, upload, 1)
    writing.write([noise(1 << 20)])
    with (small_disk / "filler").open("wb") as filler:
        disk = os.statvfs(small_disk)
        os.posix_fallocate(filler.fileno(), 0, disk.f_bavail * disk.f_frsize)
    with pytest.raises(StoreFull):
        writing.commit()
    assert store.list_parts(key, upload) == []
    (small_disk / "filler").unlink()
    assert _written(store, key, upload, 1, noise(1 << 20)).number == 1
    store.close()


# Failing disks. strace makes the n-th fsync of a real process fail.


def failing(root: Path, call: str, when: int, *arguments: str) -> str:
    """Return the output of a process whose ``when``-th system call of this kind fails with an I/O error."""
    strace = (
        "strace",
        "-f",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:error=EIO:when={when}",
    )
    said, _ = writer(root, *arguments, under=strace).communicate(timeout=PATIENCE_SECONDS)
    return said.strip()


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes fsync fail")


@needs_strace
@pytest.mark.parametrize("when", [2, 4, 5, 6, 8, 9])
def test_commit_whole_file_fsync_fails_raises_and_leaves_nothing(tmp_path: Path, when: int) -> None:
    key = new_key()
    opened(tmp_path).close()
    said = failing(tmp_path, "fsync", when, "whole", key, str(PART))
    store = opened(tmp_path)
    if said.startswith("done"):
        stored = store.stat(key)
        assert stored is not None
        assert stored.size == PART
    else:
        assert said == "failed StoreUnavailable"
        assert store.stat(key) is None
        assert list(store.folder.incoming.iterdir()) == []
    store.close()


@needs_strace
@pytest.mark.parametrize(("call", "when"), [("fdatasync", 1), ("fsync", 2)])
def test_commit_part_fsync_fails_is_not_confirmed(tmp_path: Path, call: str, when: int) -> None:
    key = new_key()
    store = opened(tmp_path)
    upload = store.start_multipart(key, PART, PART)
    store.close()
    assert failing(tmp_path, call, when, "part", key, upload, str(PART)) == "failed StoreUnavailable"


def test_use_upload_with_deleted_folder_raises_no_such_upload(tmp_path: Path) -> None:
    store = opened(tmp_path)
    key = new_key()
    upload = store.start_multipart(key, PART, PART)
    store.presign_part(key, upload, 1, PART, HOUR)
    other = opened(tmp_path)
    other.abort_multipart(key, upload)
    with pytest.raises(NoSuchUpload):
        store.open_part_writer(key, upload, 1)
    other.close()
    store.close()
