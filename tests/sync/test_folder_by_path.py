"""Folders without a descriptor, as on Windows: every operation uses the full path."""

import errno
import os
from pathlib import Path

import pytest

from modelyard.sync.apply.files.dir_handles import OpenFolder
from modelyard.sync.apply.files.rename import ExchangeUnsupported, exchange_names, rename_without_replacing
from modelyard.transfer.portable.files import write_at


@pytest.fixture
def folder(tmp_path: Path) -> OpenFolder:
    (tmp_path / "loras").mkdir()
    return OpenFolder(tmp_path / "loras", None)


def test_create_file_in_folder_by_path_writes_and_removes_it(folder: OpenFolder) -> None:
    descriptor = folder.create_file("ink")
    write_at(descriptor, b"ink", 0)
    os.close(descriptor)
    status = folder.get_status("ink")
    assert status is not None
    assert (status.st_size, folder.list_names()) == (3, ["ink"])
    with pytest.raises(FileExistsError):
        folder.create_file("ink")
    folder.remove_file("ink")
    assert folder.get_status("ink") is None


def test_open_subfolder_by_path_makes_a_folder_there(folder: OpenFolder) -> None:
    with folder.open_subfolder("sdxl", make=True) as below, below.duplicate() as same:
        assert same.path == folder.path / "sdxl"
        assert same.device == folder.device
    assert (folder.path / "sdxl").is_dir()


def test_rename_by_path_to_existing_name_keeps_both_files(folder: OpenFolder) -> None:
    (folder.path / "old").write_bytes(b"old")
    (folder.path / "new").write_bytes(b"new")
    with pytest.raises(FileExistsError):
        rename_without_replacing(folder, "new", folder, "old")
    assert (folder.path / "old").read_bytes() == b"old"
    rename_without_replacing(folder, "new", folder, "free")
    assert sorted(folder.list_names()) == ["free", "old"]


def test_exchange_names_by_path_is_unsupported(folder: OpenFolder) -> None:
    with pytest.raises(ExchangeUnsupported):
        exchange_names(folder, "one", folder, "two")


def test_replace_file_by_path_replaces_the_other(folder: OpenFolder) -> None:
    (folder.path / "old").write_bytes(b"old")
    (folder.path / "new").write_bytes(b"new")
    folder.replace_file("new", folder, "old")
    assert (folder.path / "old").read_bytes() == b"new"


def test_open_file_by_path_refuses_a_link(folder: OpenFolder) -> None:
    (folder.path / "link").symlink_to(folder.path)
    with pytest.raises(OSError, match=r".") as refused, folder.open_file("link"):
        pass
    assert refused.value.errno == errno.ELOOP
