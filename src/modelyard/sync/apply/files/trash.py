"""The trash: removed files and folders are kept for a day, or until a download needs the space. Files are restored.

<work folder>/trash/<sha256>.<unix time of the removal>
"""

import errno
import os
import re
import shutil
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import DiskSpaceLacking, NotPlaced
from modelyard.sync.apply.files.dir_handles import OpenFolder
from modelyard.sync.apply.files.file_ops import hash_unchanged_file
from modelyard.sync.apply.files.folder_trees import count_tree_bytes, delete_tree
from modelyard.sync.apply.files.rename import rename_without_replacing
from modelyard.sync.apply.transfer_window import count_missing_bytes
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.work_folders import TRASH_FOLDER
from modelyard.sync.planning.blockers import describe_full_disk
from modelyard.transfer.portable.files import get_allocated_bytes

TRASH_SECONDS = 24 * 60 * 60.0

_trash_name = re.compile(r"[0-9a-f]{64}\.([0-9]{1,15})")


@dataclass(frozen=True)
class ExpectedFile:
    """The hash that a file to remove must have, and a name beside it, used if the trash is on another file system."""

    sha256: str
    fallback_name: str
    stopped: threading.Event


@dataclass(frozen=True)
class OwnedFile:
    """An open file that this agent placed and whose content was just verified."""

    folder: OpenFolder
    path: Path
    sha256: str
    descriptor: int

    def is_at(self, folder: OpenFolder, name: str) -> bool:
        """Return whether the name in the folder belongs to this very file."""
        status = folder.get_status(name)
        return status is not None and os.path.samestat(status, os.fstat(self.descriptor))

    def build_conflict(self) -> NotPlaced:
        """Build the error for another file that got the name after the content was verified."""
        reason = (
            f"{quoted(self.path)} was replaced by another file just now. That file stays; move it away or rename it."
        )
        return NotPlaced("conflict", reason)


@dataclass(frozen=True)
class TrashFile:
    """A file, or a folder with all of its files, in the trash."""

    name: str
    removed_at: int
    size: int


def move_to_trash(folder: OpenFolder, path: Path, work: OpenFolder, expected: ExpectedFile) -> str | None:
    """Verify an owned file in ``folder`` and move it to the trash; return its name there.

    None: it was deleted, since the trash is on another file system, or it no longer existed.

    Raises:
        NotPlaced, ReadStopped: see ``open_owned_file``; ``NotPlaced`` also if another file got the name meanwhile.
    """
    try:
        with open_owned_file(folder, path, expected) as owned:
            return move_owned_file_to_trash(owned, work, expected.fallback_name)
    except FileNotFoundError:
        return None


@contextmanager
def open_owned_file(folder: OpenFolder, path: Path, expected: ExpectedFile) -> Iterator[OwnedFile]:
    """Open a file that this agent placed, and verify its content by reading it again.

    Raises:
        NotPlaced: it has other content, so it is not the agent's own any more, and stays. Also for an
            ``OSError`` of the block with ELOOP or EINVAL.
        ReadStopped: ``expected.stopped`` was set.
        FileNotFoundError: nothing has the name.
    """
    try:
        with folder.open_file(path.name) as descriptor:
            sha256 = hash_unchanged_file(path, descriptor, expected.stopped)
            if sha256 != expected.sha256:
                raise NotPlaced("conflict", _describe_changed_file(path, expected.sha256, sha256))
            yield OwnedFile(folder, path, expected.sha256, descriptor)
    except OSError as failure:
        if failure.errno not in {errno.ELOOP, errno.EINVAL}:
            raise
        raise NotPlaced(
            "conflict", f"{quoted(path)} is not a regular file any more. It stays; move it away or rename it."
        ) from None


def restore_from_trash(work: OpenFolder, name: str, folder: OpenFolder, new_name: str) -> None:
    """Rename a file out of the trash; do nothing if the new name has been taken. The content is not verified."""
    try:
        with work.open_subfolder(TRASH_FOLDER) as trash:
            rename_without_replacing(trash, name, folder, new_name)
    except FileExistsError:
        pass  # the replacing file has the name already


def list_trash(work: OpenFolder) -> list[TrashFile]:
    """Return the files in the trash by time of removal, oldest first; files with other names are left out."""
    try:
        with work.open_subfolder(TRASH_FOLDER) as trash:
            files = [_parse_trash_file(trash, name) for name in trash.list_names()]
    except FileNotFoundError:
        return []
    return sorted((file for file in files if file), key=lambda file: (file.removed_at, file.name))


def purge_trash(
    work: OpenFolder, *, needed_bytes: int = 0, kept_hashes: Collection[str] = (), keep_seconds: float = TRASH_SECONDS
) -> list[str]:
    """Delete expired files in the trash, then the oldest ones until ``needed_bytes`` more are free; return their names.

    Files with a hash in ``kept_hashes`` are about to be restored and stay. Less may be free in the end.
    """
    deleted: list[str] = []
    goal = _get_free_bytes(work) + needed_bytes
    for file in list_trash(work):
        is_expired = time.time() - file.removed_at >= keep_seconds
        # Measured on the disk: deleting a hard link or shared blocks frees nothing.
        if (is_expired or (needed_bytes and _get_free_bytes(work) < goal)) and file.name.partition(".")[
            0
        ] not in kept_hashes:
            with work.open_subfolder(TRASH_FOLDER) as trash:
                delete_tree(trash, file.name)
            deleted.append(file.name)
    return deleted


def make_disk_space(
    work: OpenFolder, partial: str, desired: DesiredModel, keep_free: int, kept_hashes: Collection[str]
) -> None:
    """Delete files in the trash until a model fits while ``keep_free`` bytes stay free; blocking.

    ``partial`` is the name of its partial file, of which the occupied bytes are not needed again.

    Nothing is deleted if it fits already; else the oldest files, except those with a hash in ``kept_hashes``.

    Raises:
        DiskSpaceLacking: it does not fit even then.
    """
    status = work.get_status(partial)
    needed = max(0, desired.size - (get_allocated_bytes(status) if status is not None else 0))
    if missing := count_missing_bytes(needed, _get_free_bytes(work), keep_free):
        purge_trash(work, needed_bytes=missing, kept_hashes=kept_hashes)
    if count_missing_bytes(needed, free := _get_free_bytes(work), keep_free):
        raise DiskSpaceLacking(describe_full_disk(desired, needed, free, keep_free, work.path.parent))


def move_owned_file_to_trash(owned: OwnedFile, work: OpenFolder, fallback_name: str) -> str | None:
    """Move a verified file to the trash; see ``move_to_trash`` for the result.

    Raises ``NotPlaced``, and changes nothing, if another file has the name by now.
    """
    with work.open_subfolder(TRASH_FOLDER, make=True) as trash:
        name = choose_trash_name(trash, owned.sha256)
        destination = trash
        try:
            rename_without_replacing(owned.folder, owned.path.name, trash, name)
        except OSError as failure:
            if failure.errno != errno.EXDEV:
                raise
            name, destination = fallback_name, owned.folder
            rename_without_replacing(owned.folder, owned.path.name, destination, name)
        if not owned.is_at(destination, name):
            rename_without_replacing(destination, name, owned.folder, owned.path.name)
            raise owned.build_conflict()
        if destination is trash:
            return name
        destination.remove_file(name)
        return None


def choose_trash_name(trash: OpenFolder, sha256: str) -> str:
    """Return an unused name in the trash for a file of this hash that is removed now."""
    number = int(time.time())
    while trash.get_status(f"{sha256}.{number}") is not None:
        number += 1
    return f"{sha256}.{number}"


def _parse_trash_file(trash: OpenFolder, name: str) -> TrashFile | None:
    """Return the file in the trash with this name; None for a foreign name, or if it is gone."""
    match, status = _trash_name.fullmatch(name), trash.get_status(name)
    if match is None or status is None:
        return None
    return TrashFile(name, int(match[1]), count_tree_bytes(trash, name, status))


def _get_free_bytes(work: OpenFolder) -> int:
    """Return the bytes that this user can still write on the disk of the work folder."""
    return shutil.disk_usage(work.location).free


def _describe_changed_file(path: Path, expected: str, found: str) -> str:
    """Describe a placed file whose content has changed since, with both hashes and what to do."""
    return (
        f"{quoted(path)} was changed after it was placed: it has sha256:{found}, not sha256:{expected}."
        " It stays. Move it away or rename it."
    )
