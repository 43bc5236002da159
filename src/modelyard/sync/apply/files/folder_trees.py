"""Read, compare and delete folders with everything in them, by descriptor and without following links."""

import os
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.dir_handles import OpenFolder
from modelyard.sync.apply.files.file_ops import hash_unchanged_file
from modelyard.sync.inventory.folder_lists import list_folder_paths
from modelyard.wire.folders.manifest import FolderFile


@dataclass(frozen=True)
class FolderTree:
    """The files that a folder model lists, and all folders that they need; by path below the folder."""

    files: Mapping[str, FolderFile]
    folders: frozenset[str]

    @classmethod
    def from_files(cls, files: tuple[FolderFile, ...]) -> "FolderTree":
        """Build the tree of a list of files."""
        return cls({file.path: file for file in files}, list_folder_paths(files))

    def has(self, path: str, status: os.stat_result) -> bool:
        """Return whether the path is listed as what the status is of: a regular file, or a folder."""
        if stat.S_ISDIR(status.st_mode):
            return path in self.folders
        return path in self.files and stat.S_ISREG(status.st_mode)


def walk_tree(folder: OpenFolder, prefix: str = "") -> Iterator[tuple[OpenFolder, str, os.stat_result]]:
    """Yield each entry below a folder: its open parent, its path below the folder, and its status.

    A folder is yielded after its entries, so it may be removed then.
    """
    for name in sorted(folder.list_names()):
        status = folder.get_status(name)
        if status is None:
            continue
        if stat.S_ISDIR(status.st_mode):
            with folder.open_subfolder(name) as child:
                yield from walk_tree(child, f"{prefix}{name}/")
        yield folder, f"{prefix}{name}", status


def find_foreign_entry(folder: OpenFolder, tree: FolderTree) -> str | None:
    """Return the path of something in the folder that the tree does not have, below the folder; None without such."""
    return next((path for _, path, status in walk_tree(folder) if not tree.has(path, status)), None)


def delete_foreign_entries(folder: OpenFolder, tree: FolderTree) -> None:
    """Delete everything in a folder of the agent's own that the tree does not have."""
    for parent, path, status in walk_tree(folder):
        if not tree.has(path, status):
            _delete_entry(parent, path.rpartition("/")[2], status)


def find_changed_file(folder: OpenFolder, tree: FolderTree, stopped: threading.Event) -> str | None:
    """Return the path of a listed file whose content has changed; None if all that exist have their content.

    Raises:
        ReadStopped: ``stopped`` was set.
    """
    for parent, path, status in walk_tree(folder):
        file, name = tree.files.get(path), path.rpartition("/")[2]
        if file is None or not stat.S_ISREG(status.st_mode):
            continue
        with parent.open_file(name) as descriptor:
            if hash_unchanged_file(parent.path / name, descriptor, stopped) != file.sha256:
                return path
    return None


def sync_folders(folder: OpenFolder) -> None:
    """Make the names in a folder, and in all folders below it, durable."""
    for parent, path, status in walk_tree(folder):
        if stat.S_ISDIR(status.st_mode):
            with parent.open_subfolder(path.rpartition("/")[2]) as child:
                child.sync_to_disk()
    folder.sync_to_disk()


def count_tree_bytes(parent: OpenFolder, name: str, status: os.stat_result) -> int:
    """Return the size of a file, or of all files in a folder; ``status`` is that of the name."""
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    with parent.open_subfolder(name) as folder:
        return sum(each.st_size for _, _, each in walk_tree(folder) if stat.S_ISREG(each.st_mode))


def delete_tree(parent: OpenFolder, name: str) -> None:
    """Delete a file, or a folder with everything in it; does nothing if it does not exist."""
    status = parent.get_status(name)
    if status is None:
        return
    if stat.S_ISDIR(status.st_mode):
        with parent.open_subfolder(name) as folder:
            for owner, path, entry_status in walk_tree(folder):
                _delete_entry(owner, path.rpartition("/")[2], entry_status)
    _delete_entry(parent, name, status)


def delete_empty_folders(parent: OpenFolder, name: str, tree: FolderTree) -> None:
    """Delete a folder that has only folders of a tree in it, as files that were moved away leave; else keep it."""
    status = parent.get_status(name)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return
    with parent.open_subfolder(name) as folder:
        if not all(stat.S_ISDIR(each.st_mode) and tree.has(path, each) for _, path, each in walk_tree(folder)):
            return
    # A file that is added meanwhile stays: only empty folders can be deleted so.
    with suppress(OSError):
        with parent.open_subfolder(name) as folder:
            for owner, path, _ in walk_tree(folder):
                os.rmdir(owner.locate(path.rpartition("/")[2]), dir_fd=owner.descriptor)
        os.rmdir(parent.locate(name), dir_fd=parent.descriptor)


@contextmanager
def open_file_folder(folder: OpenFolder, path: str, *, make: bool = False) -> Iterator[tuple[OpenFolder, str]]:
    """Yield the open parent of a file below a folder, and the file's name; with ``make``, folders are created.

    Raises:
        FileNotFoundError: a folder is missing, and ``make`` is false.
        NotPlaced: a link or a file is in its place.
    """
    *parts, name = path.split("/")
    if any(part in ("", ".", "..") for part in (*parts, name)):
        raise NotPlaced("blocked", f"{quoted(path)} is not a valid name below a folder.")
    with ExitStack() as opened:
        parent = folder
        for part in parts:
            parent = opened.enter_context(parent.open_subfolder(part, make=make))
        yield parent, name


def describe_foreign_entry(folder: Path, path: str) -> str:
    """Describe a user's file inside a folder that the agent placed, because of which the folder stays."""
    return (
        f"{quoted(folder)} contains {quoted(path)}, which does not belong to the model, so the folder stays as it is."
        " Move that away."
    )


def _delete_entry(parent: OpenFolder, name: str, status: os.stat_result) -> None:
    """Delete a file, or a folder that is empty."""
    if stat.S_ISDIR(status.st_mode):
        os.rmdir(parent.locate(name), dir_fd=parent.descriptor)
    else:
        parent.remove_file(name)
