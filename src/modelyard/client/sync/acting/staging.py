"""Whole files in a work folder that wait for their name, made of bytes that are on this machine already."""

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from modelyard.client.sync.acting.contents import hash_of, stamp, unchanged_hash_of
from modelyard.client.sync.acting.folders import Folder
from modelyard.client.sync.acting.troubles import NoRoom, NotPlaced
from modelyard.client.sync.planning.actions import Source
from modelyard.client.sync.wanted import Wanted
from modelyard.client.sync.wording import in_bytes, quoted

How = Literal["reflink", "hard link", "copy"]

# linux/fs.h: _IOW(0x94, 9, int). One file system gives a second file the same blocks; writing to one parts them.
_FICLONE = 0x40049409
_NO_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
)


@dataclass(frozen=True)
class Staged:
    """A file with the right bytes, on the disk. Whoever renames it looks at ``descriptor`` rather than at the name."""

    folder: Folder
    name: str
    descriptor: int


@dataclass(frozen=True)
class Stage:
    """Where files are made ready: an open work folder, by whom, and the bytes that must stay free."""

    work: Folder
    agent_id: str
    floor: int
    stopped: threading.Event

    @contextmanager
    def brought(self, source: Source, wanted: Wanted) -> Iterator[tuple[Staged, How]]:
        """The source's bytes under a name of our own: by reflink, else by hard link where that may be, else copied.

        A hard link has the times and the mode of the user's file, which are not touched. What nobody renamed in the
        block is gone after it.

        Raises:
            NotPlaced: the source has other bytes by now, or there is no room for a copy.
            Stopped: ``stopped`` was set.
        """
        name = f"{wanted.sha256}.{self.agent_id}.{uuid4().hex}.part"
        original = _opened(source.path)
        try:
            descriptor, how = self._made(name, original, source, wanted)
            try:
                yield Staged(self.work, name, descriptor), how
            finally:
                os.close(descriptor)
        finally:
            os.close(original)
            self.work.remove(name)

    def _made(self, name: str, original: int, source: Source, wanted: Wanted) -> tuple[int, How]:
        if os.fstat(original).st_size != wanted.size:
            raise changed(source.path)
        descriptor = self.work.create(name)
        try:
            how: How = "reflink"
            if _clone(original, descriptor):
                found = hash_of(descriptor, self.stopped)
            elif source.may_link and self._link(name, original, source.path):
                os.close(descriptor)
                how, descriptor = "hard link", os.dup(original)
                found = unchanged_hash_of(source.path, original, self.stopped)
            else:
                how = "copy"
                self._require_room(wanted)
                found = hash_of(original, self.stopped, copy=descriptor)
            if found != wanted.sha256:
                raise changed(source.path)
            if how == "hard link":
                os.fsync(descriptor)
            else:
                stamp(descriptor, wanted)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, how

    def _link(self, name: str, original: int, path: Path) -> bool:
        """Put a second name of the original in the place of the empty file. False: that cannot be had here."""
        linked = f"{name.removesuffix('.part')}.link.part"
        try:
            os.link(path, linked, dst_dir_fd=self.work.descriptor, follow_symlinks=False)
        except OSError as failure:
            if failure.errno not in _NO_LINK:
                raise
            return False
        status = self.work.status(linked)
        if status is None or not os.path.samestat(status, os.fstat(original)):
            self.work.remove(linked)
            raise changed(path)
        os.rename(linked, name, src_dir_fd=self.work.descriptor, dst_dir_fd=self.work.descriptor)
        return True

    def _require_room(self, wanted: Wanted) -> None:
        status = os.fstatvfs(self.work.descriptor)
        free = status.f_bavail * status.f_frsize
        if wanted.size + self.floor > free:
            kept = f", of which {in_bytes(self.floor)} must stay free" if self.floor else ""
            raise NoRoom(f"A copy needs {in_bytes(wanted.size)}, and {in_bytes(free)} are free{kept}. Free some space.")


def _clone(original: int, descriptor: int) -> bool:
    try:
        fcntl.ioctl(descriptor, _FICLONE, original)
    except OSError:
        return False  # each file system says no in its own way, and a link or a copy says what is really wrong
    return True


def _opened(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise changed(path)
    return descriptor


def changed(path: Path) -> NotPlaced:
    """A source that is not what the plan took it for."""
    return NotPlaced("wanted", f"{quoted(path)} has other bytes by now. The machine looks again for the right ones.")
