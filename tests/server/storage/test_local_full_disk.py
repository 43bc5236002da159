"""The folder store on full disks."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.storage.blob_store import NamedPart, StoreFull
from modelyard.server.storage.local.routes import build_blob_app
from tests.server.storage.part_writer import opened, write_part
from tests.server.storage.served_store import ServedStore, new_key, noise, serving
from tests.waiting import wait_until


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
    store.finish_multipart(key, upload, [write_part(store, key, upload, 1, body)])
    assert b"".join(store.read(key, 0, 5 << 20)) == body
    for writing in writings:
        writing.discard()
    store.close()


def test_open_part_writer_rest_does_not_fit_is_refused_until_space_is_free(small_disk: Path) -> None:
    store = opened(small_disk)
    key, body = new_key(), noise(6 << 20)
    upload = store.start_multipart(key, 6 << 20, 1 << 20)
    named = [write_part(store, key, upload, 1, body[: 1 << 20])]
    filler = store.open_whole_writer(new_key(), 3 << 20, None)
    filler.write([noise(3 << 20)])
    with pytest.raises(StoreFull) as refused:
        store.open_part_writer(key, upload, 2)
    assert refused.value.facts["needed_bytes"] == 5 << 20
    assert [part.number for part in store.list_parts(key, upload)] == [1]
    filler.discard()
    wait_until(lambda: store.get_free_bytes() > 5 << 20)
    named += [write_part(store, key, upload, n, body[(n - 1) << 20 : n << 20]) for n in range(2, 7)]
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
    assert write_part(store, key, upload, 1, noise(1 << 20)).number == 1
    store.close()
