"""What the work folders of the roots hold: free space, models in the trash, and unfinished files."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelyard.sync.inventory.filesystem import FilesystemSpace, detect_reflinks, get_filesystem_space
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.transfer.portable.files import get_allocated_bytes

TRASH_FOLDER = "trash"

_trash_name = re.compile(r"([0-9a-f]{64})\.[^/]+")


@dataclass(frozen=True)
class WorkFolders:
    """What is in the work folders by device and, except for spaces, hash; partial files with their bytes on disk."""

    spaces: dict[int, FilesystemSpace] = field(default_factory=dict)
    trash_files: dict[tuple[int, str], Path] = field(default_factory=dict)
    partial_downloads: dict[tuple[int, str], int] = field(default_factory=dict)
    partial_copies: dict[tuple[int, str], int] = field(default_factory=dict)


def read_work_folders(roots: Iterable[RootOnDisk], agent_id: str) -> WorkFolders:
    """Return what the work folders of these roots hold of this agent; blocking."""
    found = WorkFolders()
    for work_folder, root in {root.work_folder: root for root in roots if root.is_listed}.items():
        space = found.spaces.get(root.device) or get_filesystem_space(root.path)
        if space is not None:
            _read_work_folder(work_folder, root, space, agent_id, found)
    return found


def _read_work_folder(
    work_folder: Path, root: RootOnDisk, space: FilesystemSpace, agent_id: str, found: WorkFolders
) -> None:
    """Add to ``found`` the trash, partial files and disk space of one work folder.

    ``space`` is that of its device so far. Detecting reflinks may use unnamed temporary files in a folder of the
    device.
    """
    listed = list(_list_trash(work_folder))
    found.trash_files.update(((root.device, sha256), path) for path, sha256, is_folder, _ in listed if not is_folder)
    trash_bytes = _count_reclaimable_bytes(status for *_, files in listed for status in files)
    found.spaces[root.device] = replace(
        space,
        supports_reflinks=space.supports_reflinks or detect_reflinks(space.folder, root.device),
        trash_bytes=space.trash_bytes + trash_bytes,
    )
    for sha256, size, is_copy in _list_partial_files(work_folder, agent_id):
        (found.partial_copies if is_copy else found.partial_downloads)[root.device, sha256] = size


def _list_partial_files(work: Path, agent_id: str) -> Iterator[tuple[str, int, bool]]:
    """Yield hash, bytes on disk, and whether it is a copy, of each partial file of this agent.

    A download always has one name, each copy a new one.
    """
    own = re.compile(rf"([0-9a-f]{{64}})\.{re.escape(agent_id)}(\.[0-9a-f]+)?\.part")
    for name, status in _list_files(work):
        if (match := own.fullmatch(name)) is not None:
            # A partial file may have its full length from the start; only allocated blocks count.
            yield match[1], min(get_allocated_bytes(status), status.st_size), match[2] is not None
    for folder in work.glob(f"*.{agent_id}.folder"):
        sha256 = folder.name.partition(".")[0]
        if folder.name == f"{sha256}.{agent_id}.folder":
            yield sha256, sum(status.st_size for status in _list_tree_files(folder)), False


def _list_trash(work: Path) -> Iterator[tuple[Path, str, bool, list[os.stat_result]]]:
    """Yield path and hash of each file and folder in the trash, whether it is a folder, and the status of its files."""
    trash = work / TRASH_FOLDER
    for name, status in _list_entries(trash):
        if (match := _trash_name.fullmatch(name)) is None:
            continue
        if stat.S_ISDIR(status.st_mode):
            yield trash / name, match.group(1), True, list(_list_tree_files(trash / name))
        elif stat.S_ISREG(status.st_mode):
            yield trash / name, match.group(1), False, [status]


def _count_reclaimable_bytes(files: Iterable[os.stat_result]) -> int:
    """Return how many bytes of disk space become free when these files are deleted: all names of a file are in them."""
    by_inode: dict[tuple[int, int], list[os.stat_result]] = {}
    for status in files:
        by_inode.setdefault((status.st_dev, status.st_ino), []).append(status)
    return sum(
        min(get_allocated_bytes(names[0]), names[0].st_size)
        for names in by_inode.values()
        if names[0].st_nlink <= len(names)
    )


def _list_tree_files(folder: Path) -> Iterator[os.stat_result]:
    """Yield the status of each file below a folder; unreadable ones are skipped."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                status = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - joined for each file of a folder
                if stat.S_ISREG(status.st_mode):
                    yield status


def _list_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files of one folder by name, skipping unreadable ones."""
    return (entry for entry in _list_entries(folder) if stat.S_ISREG(entry[1].st_mode))


def _list_entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything in one folder by name, skipping what is unreadable.

    Other processes may be changing the folder.
    """
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 names are what is asked for
            with suppress(OSError):
                yield name, (folder / name).lstat()
