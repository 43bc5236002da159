"""Folders that appear whole under their final name, on a real file system."""

import os
import sys
from pathlib import Path

import pytest

from modelyard.transfer.errors import TargetExists
from modelyard.transfer.folder_placement import exchange_folder, place_folder
from modelyard.transfer.portable.folders import (
    exchange_by_renames,
    list_exchanged,
    renamed_for_exchange,
    try_exchange,
)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return _make_folder(tmp_path / ".new.part", "new")


def _make_folder(folder: Path, text: str) -> Path:
    (folder / "unet").mkdir(parents=True)
    (folder / "unet" / "config.json").write_text(text)
    return folder


def _read(folder: Path) -> str:
    return (folder / "unet" / "config.json").read_text()


def test_place_folder_without_target_renames_it(new: Path, tmp_path: Path) -> None:
    place_folder(new, tmp_path / "tiny")
    assert _read(tmp_path / "tiny") == "new"
    assert not new.exists()


@pytest.mark.parametrize("kind", ["folder", "file", "link", "dangling link"])
def test_place_folder_at_existing_name_keeps_both(new: Path, tmp_path: Path, kind: str) -> None:
    target, other = tmp_path / "tiny", _make_folder(tmp_path / "other", "of the user")
    match kind:
        case "folder":
            _make_folder(target, "of the user")
        case "file":
            target.write_text("of the user")
        case "link":
            target.symlink_to(other)
        case _:
            target.symlink_to(tmp_path / "nothing")
    before = target.lstat()
    with pytest.raises(TargetExists):
        place_folder(new, target)
    assert os.path.samestat(before, target.lstat())
    assert (_read(new), _read(other)) == ("new", "of the user")


def test_exchange_folder_leaves_the_earlier_folder_where_list_exchanged_finds_it(new: Path, tmp_path: Path) -> None:
    target = _make_folder(tmp_path / "tiny", "earlier")
    earlier = exchange_folder(new, target)
    assert (_read(target), _read(earlier)) == ("new", "earlier")
    assert list_exchanged(target) == [earlier]
    assert set(tmp_path.iterdir()) == {target, earlier}


def test_exchange_by_renames_leaves_the_earlier_folder_at_the_other_name(new: Path, tmp_path: Path) -> None:
    target = _make_folder(tmp_path / "tiny", "earlier")
    exchange_by_renames(new, target)
    assert (_read(target), _read(new)) == ("new", "earlier")
    assert set(tmp_path.iterdir()) == {target, new}


def test_renamed_for_exchange_when_the_block_fails_renames_it_back(new: Path, tmp_path: Path) -> None:
    target = _make_folder(tmp_path / "tiny", "earlier")
    with pytest.raises(FileNotFoundError), renamed_for_exchange(new, target) as aside:
        exchange_by_renames(aside / "missing", target)
    assert (_read(target), _read(new)) == ("earlier", "new")
    assert set(tmp_path.iterdir()) == {target, new}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux always has this call (renameat2)")
def test_try_exchange_on_linux_is_done_in_one_step(new: Path, tmp_path: Path) -> None:
    target = _make_folder(tmp_path / "tiny", "earlier")
    assert try_exchange(new, target)
    assert (_read(target), _read(new)) == ("new", "earlier")


@pytest.mark.parametrize("kind", ["file", "link", "nothing"])
def test_exchange_folder_with_other_than_a_folder_keeps_both(new: Path, tmp_path: Path, kind: str) -> None:
    target, other = tmp_path / "tiny", _make_folder(tmp_path / "other", "of the user")
    if kind == "file":
        target.write_text("of the user")
    elif kind == "link":
        target.symlink_to(other)
    with pytest.raises(TargetExists):
        exchange_folder(new, target)
    assert (_read(new), _read(other)) == ("new", "of the user")


def test_exchange_by_renames_when_the_second_fails_restores_the_target(tmp_path: Path) -> None:
    target = _make_folder(tmp_path / "tiny", "earlier")
    with pytest.raises(FileNotFoundError):
        exchange_by_renames(tmp_path / "missing", target)
    assert _read(target) == "earlier"
    assert [each.name for each in tmp_path.iterdir()] == ["tiny"]
