"""The folder store when processes are killed and disks fail."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelyard.server.storage.blob_store import FolderInUse, NoSuchUpload
from modelyard.server.storage.local.folder import find_lock_holder, lock_folder
from tests.server.storage import part_writer
from tests.server.storage.part_writer import opened, write_part
from tests.server.storage.served_store import HOUR, new_key, noise
from tests.waiting import PATIENCE_SECONDS, pause

PART, COUNT = 256 << 10, 4


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
    first = write_part(store, key, upload, 1, body[:PART])
    store.close()

    store = opened(tmp_path)
    second = write_part(store, key, upload, 2, body[PART:])
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


def test_delete_leftovers_removes_half_written_files_only(tmp_path: Path) -> None:
    store = opened(tmp_path)
    whole, half, open_key = new_key(), new_key(), new_key()
    writing = store.open_whole_writer(whole, 5, None)
    writing.write([b"bytes"])
    writing.commit()
    store.open_whole_writer(half, 5, None).write([b"by"])
    upload = store.start_multipart(open_key, 10, 5)
    part = write_part(store, open_key, upload, 1, b"bytes")
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
    part = write_part(store, key, upload, 1, b"bytes")
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
