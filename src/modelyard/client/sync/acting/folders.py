"""Models folders, held open: what is written goes where the plan said, whatever links are put in its way meanwhile.

Every path is walked from the top, one folder after the other, and a link on the way ends the walk.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from modelyard.client.sync.acting.troubles import NotPlaced, disk_trouble
from modelyard.client.sync.holding.roots import RootOnDisk
from modelyard.client.sync.planning.actions import Target
from modelyard.client.sync.wording import quoted
from modelyard.transfer import disk

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Folders above the roots may be passed without being read: the home of another user, for example.
_PASS = _FOLDER | getattr(os, "O_PATH", os.O_RDONLY)
# A pipe in a file's place would keep who opens it for ever.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Folder:
    """An open folder and the files directly in it. ``path`` is for words; blocking.

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

    def below(self, name: str, *, make: bool = False) -> "Folder":
        """The folder of this name, made if it is missing and ``make`` says so.

        Raises:
            NotPlaced: it is a link or a file.
        """
        if make:
            try:
                os.mkdir(name, 0o777, dir_fd=self.descriptor)
                self.sync()
            except FileExistsError:
                pass
        return Folder(self.path / name, _opened(self.path / name, name, self.descriptor, os.O_RDONLY | _FOLDER))

    def status(self, name: str) -> os.stat_result | None:
        """What has this name, itself; None for nothing."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Everything in it."""
        return os.listdir(self.descriptor)  # noqa: PTH208 - pathlib knows no open folders

    @contextmanager
    def reading(self, name: str) -> Iterator[int]:
        """A descriptor of the file, which is a file.

        Raises:
            OSError: with ELOOP for a link, with EINVAL for what is no file.
        """
        descriptor = os.open(name, _READ, dir_fd=self.descriptor)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            yield descriptor
        finally:
            os.close(descriptor)

    def create(self, name: str) -> int:
        """A descriptor of a new, empty file; its mode follows the umask."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o666, dir_fd=self.descriptor)

    def remove(self, name: str) -> None:
        """Delete a file, whether it is there or not."""
        disk.remove(Path(name), self.descriptor)

    def sync(self) -> None:
        """Make the names survive a power cut."""
        os.fsync(self.descriptor)


def open_root(root: RootOnDisk) -> Folder:
    """A root. One that was not there when it was looked for is made, up to the models folder, which is there.

    Raises:
        NotPlaced: it is away, a link or on another disk now.
    """
    above = root.path if root.inode else root.work.parent
    with ExitStack() as opened:
        folder = opened.enter_context(open_folder(above))
        for name in root.path.relative_to(above).parts:
            folder = opened.enter_context(folder.below(name, make=True))
        if folder.device != root.device:
            reason = f"{quoted(root.path)} is on another disk than a moment ago. It is looked at again."
            raise NotPlaced("blocked", reason)
        return Folder(folder.path, os.dup(folder.descriptor))


def open_place(target: Target, *, make: bool) -> Folder:
    """The folder in which the target's file lies or will lie.

    Raises:
        NotPlaced: see ``open_root``; or a link is on the way.
        FileNotFoundError: a folder is missing, and ``make`` is false.
    """
    parts = target.name.split("/")[:-1]
    if any(part in ("", ".", "..") for part in parts):
        raise NotPlaced("blocked", f"{quoted(target.name)} is no name below a folder.")
    with ExitStack() as opened:
        folder = opened.enter_context(open_root(target.root))
        for part in parts:
            folder = opened.enter_context(folder.below(part, make=make))
        return Folder(folder.path, os.dup(folder.descriptor))


def open_work(work: Path, *, make: bool = False) -> Folder:
    """The work folder of a root.

    Raises:
        NotPlaced: it is a link, or its own folder is away.
        FileNotFoundError: it is missing, and ``make`` is false.
    """
    with open_folder(work.parent) as beside:
        return beside.below(work.name, make=make)


def open_folder(path: Path) -> Folder:
    """A folder by its path, in which every link has been resolved before.

    Raises:
        NotPlaced: a part of it is away or a link now.
    """
    if not path.is_absolute() or ".." in path.parts:
        raise NotPlaced("blocked", f"{quoted(path)} is no plain path.")
    at, walked = os.open(path.anchor, _PASS), Path(path.anchor)
    for name in path.parts[1:]:
        walked /= name
        try:
            below = _opened(walked, name, at, os.O_RDONLY | _FOLDER if walked == path else _PASS)
        except OSError as failure:
            raise disk_trouble(walked / name, failure) from failure
        finally:
            os.close(at)
        at = below
    return Folder(path, at)


def _opened(path: Path, name: str, above: int, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=above)
    except OSError as failure:
        if failure.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        is_link = stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
        what = "a link, and nothing is written through links" if is_link else "no folder"
        raise NotPlaced("blocked", f"{quoted(path)} is {what}. Put a folder there, or look at the roots.") from None
