"""What holds in the folder when processes are killed, disks fail and disks are full."""

import os
import re
import shutil
import subprocess
import sys
import time
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
from modelyard.server.storage.folder import lock
from modelyard.server.storage.journal import JOURNAL, PartsJournal
from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.local_routes import blob_app
from tests.server.storage import part_writer
from tests.server.storage.place import HOUR, Place, noise, serving

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


def what_was_said(lines: list[str]) -> tuple[dict[int, str], set[int]]:
    """The parts that were acknowledged, and those that were being written when the process died."""
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


def test_after_kill_9_every_listed_part_is_whole_and_every_acknowledged_part_is_listed(tmp_path: Path) -> None:
    key = new_key()
    store = opened(tmp_path)
    upload = store.start(key, PART * COUNT, PART)
    store.close()
    known: dict[int, str] = {}
    for round_number in range(6):
        process = writer(tmp_path, "parts", key, upload, str(PART), str(COUNT))
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(0.02 + 0.017 * round_number)
        process.kill()
        done, unsure = what_was_said([first, *process.stdout.read().splitlines()])
        process.wait()
        known = {number: token for number, token in known.items() if number not in unsure} | done

        store = opened(tmp_path)
        listed = {part.number for part in store.parts(key, upload)}
        content = (store.folder.uploads / upload / "bytes").read_bytes()
        store.close()
        assert known.keys() <= listed
        for number in listed:
            blocks = {content[at : at + 16] for at in range((number - 1) * PART, number * PART, 16)}
            assert len(blocks) == 1, f"part {number} is torn"
            assert number not in known or blocks == {known[number].encode()}


def test_an_upload_goes_on_after_a_restart_and_its_digest_is_read_anew(tmp_path: Path) -> None:
    key, body = new_key(), noise(PART * 2)
    store = opened(tmp_path)
    upload = store.start(key, PART * 2, PART)
    first = _written(store, key, upload, 1, body[:PART])
    store.close()

    store = opened(tmp_path)
    second = _written(store, key, upload, 2, body[PART:])
    store.finish(key, upload, [first, second])
    digest = store.wait_digest(key, 10)
    assert digest is not None
    assert b"".join(store.read(key, 0, PART * 2)) == body
    store.close()

    store = opened(tmp_path)
    store.finish(key, upload, [first, second])
    stored = store.stored(key)
    assert stored is not None
    assert (stored.size, stored.digest) == (PART * 2, None)
    store.close()


def _written(store: LocalStore, key: str, upload: str, number: int, body: bytes) -> NamedPart:
    writing = store.write_part(key, upload, number)
    writing.write([body])
    return NamedPart(number, writing.commit())


def test_recovery_sweeps_half_written_files_and_keeps_the_rest(tmp_path: Path) -> None:
    store = opened(tmp_path)
    whole, half, open_key = new_key(), new_key(), new_key()
    writing = store.write_whole(whole, 5, None)
    writing.write([b"bytes"])
    writing.commit()
    store.write_whole(half, 5, None).write([b"by"])
    upload = store.start(open_key, 10, 5)
    part = _written(store, open_key, upload, 1, b"bytes")
    store.close()

    with lock(tmp_path) as held:
        store = opened(tmp_path)
        assert store.recover(held) == 1
    assert b"".join(store.read(whole, 0, 10)) == b"bytes"
    assert store.stored(half) is None
    assert [found.etag for found in store.parts(open_key, upload)] == [part.etag]
    store.close()


def test_a_slow_upload_is_as_young_as_its_finish(tmp_path: Path) -> None:
    store = opened(tmp_path)
    key = new_key()
    upload = store.start(key, 5, 5)
    part = _written(store, key, upload, 1, b"bytes")
    os.utime(store.folder.uploads / upload, (0, 0))
    store.finish(key, upload, [part])
    (found,) = store.keys("models/")
    assert found.modified > datetime.now(UTC) - timedelta(minutes=1)
    store.close()


def test_only_the_owner_of_this_folder_may_sweep_it(tmp_path: Path) -> None:
    store = opened(tmp_path / "one")
    with lock(tmp_path / "two") as held, pytest.raises(ValueError):
        store.recover(held)
    store.close()


def test_a_folder_has_one_process_and_the_second_is_told_which(tmp_path: Path) -> None:
    key = new_key()
    store = opened(tmp_path)
    upload = store.start(key, PART * COUNT, PART)
    process = writer(tmp_path, "parts", key, upload, str(PART), str(COUNT))
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(FolderInUse) as refused:
        lock(tmp_path)
    assert refused.value.facts == {"process": str(process.pid)}
    process.kill()
    process.wait()
    lock(tmp_path).release()
    store.close()


# The journal of parts.


def journal_with(path: Path, *numbers: int) -> PartsJournal:
    path.write_bytes(b"")
    journal = PartsJournal(path)
    journal.load()
    for number in numbers:
        journal.list(StoredPart(number, f"etag{number}", 10))
    return journal


def test_a_journal_torn_at_any_byte_lists_what_was_whole(tmp_path: Path) -> None:
    journal = journal_with(tmp_path / JOURNAL, 1, 2)
    journal.unlist(1)
    content = (tmp_path / JOURNAL).read_bytes()
    ends = [0, *(match.end() for match in re.finditer(rb"\n", content))]
    expected = [set[int](), {1}, {1, 2}, {2}]
    for length in range(len(content) + 1):
        (tmp_path / "torn").write_bytes(content[:length])
        listed = PartsJournal(tmp_path / "torn").load().keys()
        assert listed == expected[max(n for n, end in enumerate(ends) if end <= length)]


def test_a_torn_journal_can_be_continued(tmp_path: Path) -> None:
    journal_with(tmp_path / JOURNAL, 1, 2)
    torn = (tmp_path / JOURNAL).read_bytes()[:-3] + bytes(200)
    (tmp_path / JOURNAL).write_bytes(torn)
    journal = PartsJournal(tmp_path / JOURNAL)
    journal.load()
    journal.list(StoredPart(3, "etag3", 10))
    assert PartsJournal(tmp_path / JOURNAL).load().keys() == {1, 3}


def test_a_journal_broken_in_the_middle_is_not_believed(tmp_path: Path) -> None:
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


def test_a_full_disk_refuses_before_the_first_byte_and_leaves_nothing(small_disk: Path) -> None:
    store = opened(small_disk)
    with serving(blob_app(store)) as port:
        place = Place(store, port)
        key, other = new_key(), new_key()
        assert place.put(key, noise(9 << 20)).status == 507
        with pytest.raises(StoreFull):
            store.start(other, 9 << 20, 1 << 20)
        assert store.stored(key) is None
        assert list(store.folder.incoming.iterdir()) == []
        assert list(store.folder.uploads.iterdir()) == []
        assert place.put(key, noise(1 << 20)).status == 200
    store.close()


def test_what_was_accepted_keeps_its_room(small_disk: Path) -> None:
    store = opened(small_disk)
    key, body = new_key(), noise(4 << 20)
    upload = store.start(key, 4 << 20, 4 << 20)
    with pytest.raises(StoreFull):
        store.write_whole(new_key(), 4 << 20, None)
    store.finish(key, upload, [_written(store, key, upload, 1, body)])
    assert b"".join(store.read(key, 0, 5 << 20)) == body
    store.close()


def test_a_disk_is_never_filled_to_its_last_byte(small_disk: Path) -> None:
    store = opened(small_disk)
    with pytest.raises(StoreFull):
        store.write_whole(new_key(), store.free_bytes() - (64 << 10), None)
    store.close()


def test_a_part_that_cannot_be_listed_is_not_acknowledged(small_disk: Path) -> None:
    store = opened(small_disk)
    key = new_key()
    upload = store.start(key, 2 << 20, 1 << 20)
    writing = store.write_part(key, upload, 1)
    writing.write([noise(1 << 20)])
    with (small_disk / "filler").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, store.free_bytes())
    with pytest.raises(StoreFull):
        writing.commit()
    assert store.parts(key, upload) == []
    (small_disk / "filler").unlink()
    assert _written(store, key, upload, 1, noise(1 << 20)).number == 1
    store.close()


# Failing disks. strace makes the n-th fsync of a real process fail.


def failing(root: Path, call: str, when: int, *arguments: str) -> str:
    """What a process says whose ``when``-th call of this kind fails with an I/O error."""
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
    said, _ = writer(root, *arguments, under=strace).communicate(timeout=60)
    return said.strip()


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes fsync fail")


@needs_strace
@pytest.mark.parametrize("when", [2, 4, 5, 6, 8, 9])
def test_a_failed_fsync_fails_the_write_and_leaves_nothing(tmp_path: Path, when: int) -> None:
    key = new_key()
    opened(tmp_path).close()
    said = failing(tmp_path, "fsync", when, "whole", key, str(PART))
    store = opened(tmp_path)
    if said.startswith("done"):
        stored = store.stored(key)
        assert stored is not None
        assert stored.size == PART
    else:
        assert said == "failed StoreUnavailable"
        assert store.stored(key) is None
        assert list(store.folder.incoming.iterdir()) == []
    store.close()


@needs_strace
@pytest.mark.parametrize(("call", "when"), [("fdatasync", 1), ("fsync", 2)])
def test_a_part_whose_fsync_failed_is_not_acknowledged(tmp_path: Path, call: str, when: int) -> None:
    key = new_key()
    store = opened(tmp_path)
    upload = store.start(key, PART, PART)
    store.close()
    assert failing(tmp_path, call, when, "part", key, upload, str(PART)) == "failed StoreUnavailable"


def test_an_upload_that_vanished_is_no_such_upload(tmp_path: Path) -> None:
    store = opened(tmp_path)
    key = new_key()
    upload = store.start(key, PART, PART)
    store.part_request(key, upload, 1, PART, HOUR)
    other = opened(tmp_path)
    other.abort(key, upload)
    with pytest.raises(NoSuchUpload):
        store.write_part(key, upload, 1)
    other.close()
    store.close()
