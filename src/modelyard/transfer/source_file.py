"""Local files that are read for a transfer, with detection of changes made meanwhile."""

import errno
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from modelyard.transfer.errors import FileChanged, FileMoved, build_disk_error
from modelyard.transfer.portable.files import read_at, read_bytes_at


class FileIdentity(NamedTuple):
    """The attributes whose change shows that a file was modified, truncated or replaced. The device is not included."""

    size: int
    mtime_ns: int
    inode: int


def _get_identity(status: os.stat_result) -> FileIdentity:
    """Return the identity in a file's status."""
    return FileIdentity(status.st_size, status.st_mtime_ns, status.st_ino)


class SourceFile:
    """An open file. Reads take an offset, so several threads may read at once.

    Raises:
        DiskFailed: from every method, if the file cannot be opened or read.
        FileChanged: from ``ensure_unchanged``, and from reads that begin at or after the end of the file.
    """

    def __init__(self, path: Path, expected: FileIdentity | None = None) -> None:
        """Open a file; with ``expected``, only one with this identity.

        Raises:
            FileChanged: it has another one.
        """
        self.path = path
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as failure:
            raise build_disk_error(path, failure) from failure
        self.descriptor = self._file.fileno()
        self.identity = _get_identity(os.fstat(self.descriptor))
        if expected is not None and self.identity != expected:
            self._file.close()
            raise FileChanged(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def ensure_unchanged(self) -> None:
        """Check that the path still refers to the same, unmodified file.

        Raises:
            FileChanged: it refers to another one, or the file was modified.
            FileMoved: nothing is there.
            DiskFailed: the file cannot be looked at.
        """
        try:
            is_same = _get_identity(os.fstat(self.descriptor)) == _get_identity(self.path.stat()) == self.identity
        except (FileNotFoundError, NotADirectoryError):
            raise FileMoved(self.path) from None
        except OSError as failure:
            raise build_disk_error(self.path, failure) from failure
        if not is_same:
            raise FileChanged(self.path)

    if sys.platform != "win32":

        def sendfile(self, receiver: int, offset: int, count: int) -> int:
            """Send at most ``count`` bytes to a writable socket and return how many it accepted, at least 1.

            Errors of the socket are raised unchanged.

            Raises:
                DiskFailed: the file cannot be read.
            """
            try:
                sent = os.sendfile(receiver, self.descriptor, offset, count)
            except OSError as failure:
                if failure.errno == errno.EIO:
                    raise build_disk_error(self.path, failure) from failure
                raise
            return self._require_bytes(sent)

    def read(self, offset: int, count: int) -> bytes:
        """Read and return between 1 and ``count`` bytes.

        Raises:
            DiskFailed: the file cannot be read.
            FileChanged: it ends before ``offset``.
        """
        try:
            data = read_bytes_at(self.descriptor, count, offset)
        except OSError as failure:
            raise build_disk_error(self.path, failure) from failure
        self._require_bytes(len(data))
        return data

    def readinto(self, buffer: memoryview, offset: int) -> int:
        """Read at least one byte into ``buffer`` and return the number read.

        Raises:
            DiskFailed: the file cannot be read.
            FileChanged: it ends before ``offset``.
        """
        try:
            count = read_at(self.descriptor, buffer, offset)
        except OSError as failure:
            raise build_disk_error(self.path, failure) from failure
        return self._require_bytes(count)

    def _require_bytes(self, count: int) -> int:
        """Return ``count`` unless it is 0, which means that the file was truncated after it was opened."""
        if count == 0:
            raise FileChanged(self.path)
        return count
