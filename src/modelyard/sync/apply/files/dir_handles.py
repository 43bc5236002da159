"""Open models folders by descriptor, so that links created meanwhile cannot redirect a write.

Every path is opened component by component from the top; a link among them is an error.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced, build_not_placed_from_os_error
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.planning.actions import Target
from modelyard.transfer import filesystem

_FOLDER_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Folders above the roots need not be readable, for example another user's home; O_PATH does not require it.
_TRAVERSE_FLAGS = _FOLDER_FLAGS | getattr(os, "O_PATH", os.O_RDONLY)
# O_NONBLOCK: opening a pipe that was put in a file's place would block forever.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class OpenFolder:
    """An open folder, for operations on the files directly in it. ``path`` is used in messages only; blocking.

    Raises:
        OSError: from most methods.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    @property
    def device(self) -> int:
        return os.fstat(self.descriptor).st_dev

    def open_subfolder(self, name: str, *, make: bool = False) -> "OpenFolder":
        """Open the folder of this name, created first if it is missing and ``make`` is set.

        Raises:
            NotPlaced: it is a link or a file.
        """
        if make:
            try:
                os.mkdir(name, 0o777, dir_fd=self.descriptor)
                self.sync_to_disk()
            except FileExistsError:
                pass
        return OpenFolder(
            self.path / name, _open_folder_at(self.path / name, name, self.descriptor, os.O_RDONLY | _FOLDER_FLAGS)
        )

    def get_status(self, name: str) -> os.stat_result | None:
        """Return the status of the file, folder or link with this name, without following it; None if there is none."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def list_names(self) -> list[str]:
        return os.listdir(self.descriptor)  # noqa: PTH208 - pathlib cannot list a descriptor

    @contextmanager
    def open_file(self, name: str) -> Iterator[int]:
        """Open a regular file for reading and yield its descriptor.

        Raises:
            OSError: with ELOOP for a link, with EINVAL for anything else that is not a regular file.
        """
        descriptor = os.open(name, _READ_FLAGS, dir_fd=self.descriptor)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            yield descriptor
        finally:
            os.close(descriptor)

    def create_file(self, name: str) -> int:
        """Create an empty file and return its descriptor; FileExistsError if the name is taken."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o666, dir_fd=self.descriptor)

    def remove_file(self, name: str) -> None:
        """Delete a file; does nothing if it does not exist."""
        filesystem.remove(Path(name), self.descriptor)

    def sync_to_disk(self) -> None:
        """Make the names in the folder durable."""
        os.fsync(self.descriptor)


def open_root(root: RootOnDisk) -> OpenFolder:
    """Open a root; one that did not exist during the scan is created in the models folder, which must exist.

    Raises:
        NotPlaced: it is missing, a link, or on another disk than during the scan.
    """
    existing = root.path if root.inode else root.work_folder.parent
    with ExitStack() as opened:
        folder = opened.enter_context(open_folder(existing))
        for name in root.path.relative_to(existing).parts:
            folder = opened.enter_context(folder.open_subfolder(name, make=True))
        if folder.device != root.device:
            reason = f"{quoted(root.path)} is on another disk than during the scan. It will be scanned again."
            raise NotPlaced("blocked", reason)
        return OpenFolder(folder.path, os.dup(folder.descriptor))


def open_target_folder(target: Target, *, make: bool) -> OpenFolder:
    """Open the folder that contains, or will contain, the target's file; with ``make``, missing ones are created.

    The root is created as in ``open_root``, whatever ``make`` is.

    Raises:
        NotPlaced: see ``open_root``; or the path contains a link.
        FileNotFoundError: a folder is missing, and ``make`` is false.
    """
    parts = target.name.split("/")[:-1]
    if any(part in ("", ".", "..") for part in parts):
        raise NotPlaced("blocked", f"{quoted(target.name)} is not a valid name below a folder.")
    with ExitStack() as opened:
        folder = opened.enter_context(open_root(target.root))
        for part in parts:
            folder = opened.enter_context(folder.open_subfolder(part, make=make))
        return OpenFolder(folder.path, os.dup(folder.descriptor))


def open_work_folder(work: Path, *, make: bool = False) -> OpenFolder:
    """Open the work folder of a root.

    Raises:
        NotPlaced: it is a link, or its parent is missing.
        FileNotFoundError: it is missing, and ``make`` is false.
    """
    with open_folder(work.parent) as parent:
        return parent.open_subfolder(work.name, make=make)


def open_folder(path: Path) -> OpenFolder:
    """Open a folder by its path, in which every link has been resolved before.

    Raises:
        NotPlaced: a part of the path is missing, a link or not accessible now.
    """
    if not path.is_absolute() or ".." in path.parts:
        raise NotPlaced("blocked", f"{quoted(path)} is not an absolute path without '..'.")
    descriptor, opened = os.open(path.anchor, _TRAVERSE_FLAGS), Path(path.anchor)
    for name in path.parts[1:]:
        opened /= name
        try:
            child = _open_folder_at(
                opened, name, descriptor, os.O_RDONLY | _FOLDER_FLAGS if opened == path else _TRAVERSE_FLAGS
            )
        except OSError as failure:
            raise build_not_placed_from_os_error(opened / name, failure) from failure
        finally:
            os.close(descriptor)
        descriptor = child
    return OpenFolder(path, descriptor)


def _open_folder_at(path: Path, name: str, parent_descriptor: int, flags: int) -> int:
    """Open the folder ``name`` in an open folder and return its descriptor; ``path`` is used in messages.

    Raises:
        NotPlaced: it is a link or a file.
        OSError: it is missing or cannot be opened.
    """
    try:
        return os.open(name, flags, dir_fd=parent_descriptor)
    except OSError as failure:
        if failure.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        is_link = stat.S_ISLNK(os.stat(name, dir_fd=parent_descriptor, follow_symlinks=False).st_mode)
        kind = "a link, and nothing is written through links" if is_link else "not a folder"
        raise NotPlaced(
            "blocked", f"{quoted(path)} is {kind}. Put a folder there, or check the configured folders."
        ) from None
