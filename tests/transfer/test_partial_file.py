"""Locking, checkpoints and placement of partial files."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.transfer import filesystem
from modelyard.transfer.download.partial_file import (
    PartialFile,
    Watermark,
    create_unshared_file,
    open_partial_file,
)
from modelyard.transfer.errors import DigestMismatch, DiskFull, TargetExists

SHA = "a" * 64
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".ink.part"


@pytest.fixture
def other_file_system(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 4 MiB and return its folder."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _create_partial_file(path: Path, *pieces: tuple[int, bytes]) -> PartialFile:
    partial = open_partial_file(path, 1000, SHA)
    for offset, piece in pieces:
        partial.write(memoryview(piece), offset)
    return partial


def test_open_partial_file_after_checkpoint_restores_ranges_and_etag(path: Path) -> None:
    partial = _create_partial_file(path, (0, b"x" * 100), (500, b"y" * 100))
    partial.matches_or_records_etag('"tag"')
    partial.save_checkpoint()
    partial.close()

    again = open_partial_file(path, 1000, SHA)

    assert again.path == path
    assert again.find_missing(0, 1000) == [(100, 500), (600, 1000)]
    assert again.etag == '"tag"'
    again.close()


def test_open_partial_file_without_checkpoint_starts_empty(path: Path) -> None:
    _create_partial_file(path, (0, b"x" * 100)).close()

    again = open_partial_file(path, 1000, SHA)

    assert again.received_bytes == 0
    again.close()


def test_open_partial_file_truncated_since_starts_empty(path: Path) -> None:
    partial = _create_partial_file(path, (0, b"x" * 100))
    partial.save_checkpoint()
    partial.close()
    os.truncate(path, 50)

    again = open_partial_file(path, 1000, SHA)

    assert again.received_bytes == 0
    again.close()


def test_discard_contents_is_durable_without_a_checkpoint(path: Path) -> None:
    partial = _create_partial_file(path, (0, b"x" * 100))
    partial.save_checkpoint()
    partial.discard_contents()
    partial.close()

    again = open_partial_file(path, 1000, SHA)

    assert again.received_bytes == 0
    again.close()


def test_wait_for_bytes_after_discard_returns_new_generation(path: Path) -> None:
    partial = _create_partial_file(path, (0, b"x" * 100))
    seen = partial.wait_for_bytes(Watermark(-1, 0), 50)
    partial.discard_contents()

    now = partial.wait_for_bytes(seen, 1000)

    assert now.generation != seen.generation
    assert now.end == 0
    partial.close()


def test_open_partial_file_twice_uses_another_name(path: Path) -> None:
    first, second = open_partial_file(path, 1000, SHA), open_partial_file(path, 1000, SHA)

    assert first.path == path
    assert second.path != path
    assert second.path.suffix == ".part"
    first.close()
    second.close()


def test_is_locking_exclusive_leaves_no_probe_file(tmp_path: Path) -> None:
    assert filesystem.is_locking_exclusive(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_create_unshared_file_twice_uses_different_names(path: Path) -> None:
    first, second = create_unshared_file(path, 1000, SHA), create_unshared_file(path, 1000, SHA)

    assert len({path, first.path, second.path}) == 3
    assert not first.is_resumable
    first.close()
    second.close()


def test_open_partial_file_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path.symlink_to(victim)

    with pytest.raises(Exception, match="could not be read or written"):
        open_partial_file(path, 1000, SHA)

    assert victim.read_bytes() == b"precious"


def test_write_partial_file_on_full_disk_raises_disk_full(other_file_system: Path) -> None:
    partial = open_partial_file(other_file_system / "x.part", 10_000_000, SHA)

    partial.write(memoryview(bytes(3_000_000)), 0)
    with pytest.raises(DiskFull):
        partial.write(memoryview(bytes(3_000_000)), 3_000_000)

    partial.remove()
    partial.close()
    assert list(other_file_system.iterdir()) == []


def test_require_disk_space_too_little_raises_disk_full(other_file_system: Path) -> None:
    filesystem.require_disk_space(other_file_system, 3_000_000, 0)
    with pytest.raises(DiskFull):
        filesystem.require_disk_space(other_file_system, 5_000_000, 0)
    with pytest.raises(DiskFull, match="must stay free"):
        filesystem.require_disk_space(other_file_system, 3_000_000, 2_000_000)


def test_place_on_other_file_system_moves_the_file(tmp_path: Path, other_file_system: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"abc")

    filesystem.place(tmp_path / "x.part", other_file_system / "x", sha256=ABC, replace=False)

    assert (other_file_system / "x").read_bytes() == b"abc"
    assert list(other_file_system.iterdir()) == [other_file_system / "x"]
    assert not (tmp_path / "x.part").exists()


def test_place_on_other_file_system_verifies_the_digest(tmp_path: Path, other_file_system: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"abd")

    with pytest.raises(DigestMismatch):
        filesystem.place(tmp_path / "x.part", other_file_system / "x", sha256=ABC, replace=False)

    assert list(other_file_system.iterdir()) == []


@pytest.mark.parametrize("replace", [False, True])
def test_place_on_existing_file_requires_replace(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "x.part").write_bytes(b"new")
    (tmp_path / "x").write_bytes(b"old")

    if replace:
        filesystem.place(tmp_path / "x.part", tmp_path / "x", sha256=SHA, replace=True)
    else:
        with pytest.raises(TargetExists):
            filesystem.place(tmp_path / "x.part", tmp_path / "x", sha256=SHA, replace=False)

    assert (tmp_path / "x").read_bytes() == (b"new" if replace else b"old")


def test_open_partial_file_with_second_hard_link_creates_a_new_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "ink.safetensors").write_bytes(b"placed by a run that was killed just then")
    os.link(tmp_path / "ink.safetensors", path)

    partial = open_partial_file(path, 1000, SHA)
    partial.write(memoryview(b"x"), 0)
    partial.close()

    assert (tmp_path / "ink.safetensors").read_bytes() == b"placed by a run that was killed just then"


def test_partial_file_has_no_checkpoint_file_before_the_first_checkpoint(tmp_path: Path) -> None:
    partial = open_partial_file(tmp_path / "ink.part", 1000, SHA)
    partial.write(memoryview(b"x" * 100), 0)
    assert [each.name for each in tmp_path.iterdir()] == ["ink.part"]
    partial.save_checkpoint()
    partial.close()
    assert open_partial_file(tmp_path / "ink.part", 1000, SHA).received_bytes == 100


def test_open_partial_file_in_open_folder_ignores_a_redirected_path(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "elsewhere").mkdir()
    folder = os.open(tmp_path / "work", os.O_RDONLY)
    (tmp_path / "work").rename(tmp_path / "moved")
    (tmp_path / "work").symlink_to(tmp_path / "elsewhere")

    partial = open_partial_file(tmp_path / "work" / "ink.part", 1000, SHA, folder)
    partial.write(memoryview(b"x" * 100), 0)
    partial.save_checkpoint()
    partial.close()
    os.close(folder)

    assert sorted(each.name for each in (tmp_path / "moved").iterdir()) == ["ink.part", "ink.part.journal"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
