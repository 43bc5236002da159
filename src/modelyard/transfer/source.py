"""A file that is read for a transfer, and the proof that nobody changed it meanwhile."""

import errno
import os
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from modelyard.transfer.failures import FileChanged, disk_failure


class Identity(NamedTuple):
    """What changes when a file is written, cut or replaced by another."""

    size: int
    mtime_ns: int
    inode: int


def _identity(status: os.stat_result) -> Identity:
    return Identity(status.st_size, status.st_mtime_ns, status.st_ino)


class Source:
    """An open file. Reads name their offset, so several threads may read at once.

    Raises:
        DiskFailed: from every method, if the file cannot be opened or read.
        FileChanged: from ``check`` and from reads that meet the end of the file too early.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as failure:
            raise disk_failure(path, failure) from failure
        self.descriptor = self._file.fileno()
        self.identity = _identity(os.fstat(self.descriptor))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def check(self) -> None:
        """Make sure that the path still leads to the same, unchanged file."""
        try:
            same = _identity(os.fstat(self.descriptor)) == _identity(self.path.stat()) == self.identity
        except FileNotFoundError:
            same = False
        if not same:
            raise FileChanged(self.path)

    def sendfile(self, receiver: int, offset: int, count: int) -> int:
        """Send at most ``count`` bytes to a socket that is ready for some; gives how many it took."""
        try:
            sent = os.sendfile(receiver, self.descriptor, offset, count)
        except OSError as failure:
            if failure.errno == errno.EIO:
                raise disk_failure(self.path, failure) from failure
            raise
        return self._not_none(sent)

    def read(self, offset: int, count: int) -> bytes:
        """At most ``count`` bytes, at least one."""
        try:
            piece = os.pread(self.descriptor, count, offset)
        except OSError as failure:
            raise disk_failure(self.path, failure) from failure
        self._not_none(len(piece))
        return piece

    def readinto(self, buffer: memoryview, offset: int) -> int:
        """Fill ``buffer`` from ``offset`` as far as one read goes, at least one byte."""
        try:
            count = os.preadv(self.descriptor, [buffer], offset)
        except OSError as failure:
            raise disk_failure(self.path, failure) from failure
        return self._not_none(count)

    def _not_none(self, count: int) -> int:
        """Nobody reads beyond the size that the file had when it was opened, so its end means that it was cut."""
        if count == 0:
            raise FileChanged(self.path)
        return count
