"""Who may use a partial file, what it keeps, and how it gets its name."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.transfer import disk
from modelyard.transfer.failures import DiskFull, TargetTaken, WrongBytes
from modelyard.transfer.partial import Frontier, Partial, claim, sweep, unshared

SHA = "a" * 64
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".ink.part"


@pytest.fixture
def other_file_system(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _partial(path: Path, *pieces: tuple[int, bytes]) -> Partial:
    partial = claim(path, 1000, SHA)
    for offset, piece in pieces:
        partial.write(memoryview(piece), offset)
    return partial


def test_what_was_noted_is_there_for_the_next_run(path: Path) -> None:
    partial = _partial(path, (0, b"x" * 100), (500, b"y" * 100))
    partial.is_object('"tag"')
    partial.checkpoint()
    partial.close()

    again = claim(path, 1000, SHA)

    assert again.path == path
    assert again.missing(0, 1000) == [(100, 500), (600, 1000)]
    assert again.etag == '"tag"'
    again.close()


def test_what_was_not_noted_is_fetched_again(path: Path) -> None:
    _partial(path, (0, b"x" * 100)).close()

    again = claim(path, 1000, SHA)

    assert again.held == 0
    again.close()


def test_a_partial_file_cut_by_somebody_is_not_believed(path: Path) -> None:
    partial = _partial(path, (0, b"x" * 100))
    partial.checkpoint()
    partial.close()
    os.truncate(path, 50)

    again = claim(path, 1000, SHA)

    assert again.held == 0
    again.close()


def test_starting_over_survives_a_crash(path: Path) -> None:
    partial = _partial(path, (0, b"x" * 100))
    partial.checkpoint()
    partial.start_over()
    partial.close()

    again = claim(path, 1000, SHA)

    assert again.held == 0
    again.close()


def test_one_who_waits_sees_that_all_was_thrown_away(path: Path) -> None:
    partial = _partial(path, (0, b"x" * 100))
    seen = partial.wait_for_more(Frontier(-1, 0), 50)
    partial.start_over()

    now = partial.wait_for_more(seen, 1000)

    assert now.generation != seen.generation
    assert now.end == 0
    partial.close()


def test_a_second_owner_gets_another_file(path: Path) -> None:
    first, second = claim(path, 1000, SHA), claim(path, 1000, SHA)

    assert first.path == path
    assert second.path != path
    assert second.path.suffix == ".part"
    first.close()
    second.close()


def test_locks_are_tried_out_without_a_trace(tmp_path: Path) -> None:
    assert disk.locks_hold(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_where_locks_keep_nobody_out_names_are_never_shared(path: Path) -> None:
    first, second = unshared(path, 1000, SHA), unshared(path, 1000, SHA)

    assert len({path, first.path, second.path}) == 3
    assert not first.lasts
    first.close()
    second.close()


def test_a_link_under_the_name_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path.symlink_to(victim)

    with pytest.raises(Exception, match="could not be used"):
        claim(path, 1000, SHA)

    assert victim.read_bytes() == b"precious"


def test_a_full_disk_is_told_as_such(other_file_system: Path) -> None:
    partial = claim(other_file_system / "x.part", 10_000_000, SHA)

    partial.write(memoryview(bytes(3_000_000)), 0)
    with pytest.raises(DiskFull):
        partial.write(memoryview(bytes(3_000_000)), 3_000_000)

    partial.remove()
    partial.close()
    assert list(other_file_system.iterdir()) == []


def test_room_is_counted_before_the_first_byte(other_file_system: Path) -> None:
    disk.require_room(other_file_system, 3_000_000, 0)
    with pytest.raises(DiskFull):
        disk.require_room(other_file_system, 5_000_000, 0)
    with pytest.raises(DiskFull, match="must stay free"):
        disk.require_room(other_file_system, 3_000_000, 2_000_000)


def test_a_file_gets_its_name_across_file_systems(tmp_path: Path, other_file_system: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"abc")

    disk.place(tmp_path / "x.part", other_file_system / "x", sha256=ABC, replace=False)

    assert (other_file_system / "x").read_bytes() == b"abc"
    assert list(other_file_system.iterdir()) == [other_file_system / "x"]
    assert not (tmp_path / "x.part").exists()


def test_a_copy_across_file_systems_is_checked(tmp_path: Path, other_file_system: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"abd")

    with pytest.raises(WrongBytes):
        disk.place(tmp_path / "x.part", other_file_system / "x", sha256=ABC, replace=False)

    assert list(other_file_system.iterdir()) == []


@pytest.mark.parametrize("replace", [False, True])
def test_a_name_is_taken_over_only_when_asked(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "x.part").write_bytes(b"new")
    (tmp_path / "x").write_bytes(b"old")

    if replace:
        disk.place(tmp_path / "x.part", tmp_path / "x", sha256=SHA, replace=True)
    else:
        with pytest.raises(TargetTaken):
            disk.place(tmp_path / "x.part", tmp_path / "x", sha256=SHA, replace=False)

    assert (tmp_path / "x").read_bytes() == (b"new" if replace else b"old")


def test_old_partial_files_of_the_dead_are_swept_and_no_others(tmp_path: Path) -> None:
    names = ("dead.part", "fresh.part", "alive.part")
    partials = [claim(tmp_path / name, 1000, SHA) for name in names]
    (tmp_path / "model.safetensors").write_bytes(b"old")
    for partial in partials[:2]:
        partial.close()
    for name in ("dead.part", "alive.part", "model.safetensors"):
        os.utime(tmp_path / name, (0, time.time() - 100_000))

    assert sweep(tmp_path, older_than_seconds=86_400) == [tmp_path / "dead.part"]

    assert {path.name for path in tmp_path.iterdir()} == {
        "fresh.part",
        "fresh.part.journal",
        "alive.part",
        "alive.part.journal",
        "model.safetensors",
    }
    partials[2].close()


def test_a_partial_file_with_a_second_name_is_given_up_for_a_new_one(path: Path, tmp_path: Path) -> None:
    (tmp_path / "ink.safetensors").write_bytes(b"placed by a run that was killed just then")
    os.link(tmp_path / "ink.safetensors", path)

    partial = claim(path, 1000, SHA)
    partial.write(memoryview(b"x"), 0)
    partial.close()

    assert (tmp_path / "ink.safetensors").read_bytes() == b"placed by a run that was killed just then"


def test_in_an_open_folder_a_path_that_leads_elsewhere_by_now_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "elsewhere").mkdir()
    folder = os.open(tmp_path / "work", os.O_RDONLY)
    (tmp_path / "work").rename(tmp_path / "moved")
    (tmp_path / "work").symlink_to(tmp_path / "elsewhere")

    partial = claim(tmp_path / "work" / "ink.part", 1000, SHA, folder)
    partial.write(memoryview(b"x" * 100), 0)
    partial.checkpoint()
    partial.close()
    os.close(folder)

    assert sorted(each.name for each in (tmp_path / "moved").iterdir()) == ["ink.part", "ink.part.journal"]
    assert list((tmp_path / "elsewhere").iterdir()) == []
