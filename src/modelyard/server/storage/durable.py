"""What it takes that bytes and names survive a power cut, and how disk errors are called here.

An fsync that failed has lost its pages: the kernel marks them clean, and a second fsync would say "fine". So nobody
here repeats one on the same descriptor; the write failed, and whoever wants it begins again with a new one.
"""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelyard.server.storage.blob_store import StoreFull, StoreUnavailable

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}
_SYNC_FILE_RANGE_WRITE = 2

_sync_file_range = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn the system's errors into the store's.

    Raises:
        StoreFull: no room, or over a disk quota.
        StoreUnavailable: any other error of the disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFull("The disk is full.") from error
        raise StoreUnavailable(f"The disk failed: {error.strerror}.") from error


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path, below: Path) -> None:
    """Make ``folder`` and what is missing between it and ``below``, durably."""
    if folder == below or folder.is_dir():
        return
    make_folders(folder.parent, below)
    folder.mkdir(mode=0o700, exist_ok=True)
    fsync_folder(folder.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a new small file and its bytes durably; its name is durable when its folder is."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_all(descriptor, content, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes, offset: int) -> None:
    """``pwrite`` until everything is written."""
    rest = memoryview(content)
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count


def move_folder(source: Path, target: Path) -> bool:
    """Rename a folder to a name that nobody has, in one step; False if somebody has it.

    ``rename`` never replaces a folder that holds something, and ours always do: of two writers one wins whole.
    The name is durable after ``fsync_folder(target.parent)``.
    """
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def start_writeback(descriptor: int, offset: int, length: int) -> None:
    """Ask the kernel to begin writing these bytes to disk, so that the fsync at the end has little left to do.

    A hint: it waits for nothing, and an error of the disk stays for that fsync to report.
    """
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)
