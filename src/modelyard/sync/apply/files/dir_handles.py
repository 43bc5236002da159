"""Open models folders by descriptor, so that links created meanwhile cannot redirect a write.

Every path is opened component by component from the top; a link among them is an error. Windows has no operations
relative to a folder's descriptor: there every component is checked, and files are then opened by their full path.
"""

import errno
import os
import stat
import sys
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
from modelyard.transfer.portable.files import READ_ONLY, is_link, open_unfollowed

if sys.platform != "win32":
    _FOLDER_FLAGS = os.O_DIRECTORY | os.O_RDONLY
    # Folders above the roots need not be readable, for example another user's home; O_PATH does not require it.
    _TRAVERSE_FLAGS = _FOLDER_FLAGS | getattr(os, "O_PATH", 0)


class OpenFolder:
    """An open folder, for operations on the files directly in it; blocking.

    With a descriptor, ``path`` is used in messages only. Without one, on Windows, files are named by their full path.

    Raises:
        OSError: from most methods.
    """

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)

    @property
    def location(self) -> int | Path:
        """What system calls on the folder itself take."""
        return self.path if self.descriptor is None else self.descriptor

    @property
    def device(self) -> int:
        return os.stat(self.location).st_dev  # noqa: PTH116 - pathlib cannot describe a descriptor

    def locate(self, name: str) -> str:
        """Return what system calls with ``dir_fd=descriptor`` take for a name in the folder."""
        return str(self.path / name) if self.descriptor is None else name

    def duplicate(self) -> "OpenFolder":
        """Return the same folder, to be closed separately."""
        return OpenFolder(self.path, None if self.descriptor is None else os.dup(self.descriptor))

    def open_subfolder(self, name: str, *, make: bool = False) -> "OpenFolder":
        """Open the folder of this name, created first if it is missing and ``make`` is set.

        Raises:
            NotPlaced: it is a link or a file.
        """
        if make:
            try:
                os.mkdir(self.locate(name), 0o777, dir_fd=self.descriptor)
                self.sync_to_disk()
            except FileExistsError:
                pass
        return _open_child(self, name)

    def get_status(self, name: str) -> os.stat_result | None:
        """Return the status of the file, folder or link with this name, without following it; None if there is none."""
        try:
            return os.stat(self.locate(name), dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def list_names(self) -> list[str]:
        return os.listdir(self.location)  # noqa: PTH208 - pathlib cannot list a descriptor

    @contextmanager
    def open_file(self, name: str) -> Iterator[int]:
        """Open a regular file for reading and yield its descriptor.

        Raises:
            OSError: with ELOOP for a link, with EINVAL for anything else that is not a regular file.
        """
        descriptor = open_unfollowed(self.locate(name), READ_ONLY, self.descriptor)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            yield descriptor
        finally:
            os.close(descriptor)

    def create_file(self, name: str) -> int:
        """Create an empty file and return its descriptor; FileExistsError if the name is taken."""
        return open_unfollowed(self.locate(name), os.O_RDWR | os.O_CREAT | os.O_EXCL, self.descriptor)

    def replace_file(self, name: str, target: "OpenFolder", new_name: str) -> None:
        """Rename a file within the file system; a file that has the new name is replaced."""
        os.replace(self.locate(name), target.locate(new_name), src_dir_fd=self.descriptor, dst_dir_fd=target.descriptor)

    def remove_file(self, name: str) -> None:
        """Delete a file; does nothing if it does not exist."""
        filesystem.remove(self.path / name, self.descriptor)

    def sync_to_disk(self) -> None:
        """Make the names in the folder durable; does nothing without a descriptor."""
        if self.descriptor is not None:
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
        return folder.duplicate()


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
        return folder.duplicate()


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
    folder = _open_anchor(path)
    for name in path.parts[1:]:
        child = folder.path / name
        with folder:
            try:
                opened = _open_child(folder, name, is_traversed=child != path)
            except OSError as failure:
                raise build_not_placed_from_os_error(child / name, failure) from failure
        folder = opened
    return folder


def _open_anchor(path: Path) -> OpenFolder:
    """Open what an absolute path begins with: the root of the file system, on Windows a drive or a share."""
    if sys.platform == "win32":
        descriptor = None
    else:
        descriptor = open_unfollowed(path.anchor, _TRAVERSE_FLAGS)
    return OpenFolder(Path(path.anchor), descriptor)


def _open_child(folder: OpenFolder, name: str, *, is_traversed: bool = False) -> OpenFolder:
    """Open the folder ``name`` in an open folder; with ``is_traversed``, only to open others in it.

    Raises:
        NotPlaced: it is a link or a file.
        OSError: it is missing or cannot be opened.
    """
    path = folder.path / name
    if sys.platform == "win32" or folder.descriptor is None:
        status = path.lstat()
        if is_link(status) or not stat.S_ISDIR(status.st_mode):
            raise _build_not_a_folder(path, status)
        descriptor = None
    else:
        try:
            descriptor = open_unfollowed(name, _TRAVERSE_FLAGS if is_traversed else _FOLDER_FLAGS, folder.descriptor)
        except OSError as failure:
            if failure.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            status = os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
            raise _build_not_a_folder(path, status) from None
    return OpenFolder(path, descriptor)


def _build_not_a_folder(path: Path, status: os.stat_result) -> NotPlaced:
    """Build the error for a link or a file in the place of a folder."""
    kind = "a link, and nothing is written through links" if is_link(status) else "not a folder"
    return NotPlaced("blocked", f"{quoted(path)} is {kind}. Put a folder there, or check the configured folders.")
