"""Durable writes and renames, and the translation of disk errors.

After a failed fsync the kernel marks the lost pages clean, and a second fsync would report success. So an fsync is
never repeated on the same descriptor: the write has failed, and a retry starts with a new descriptor.
"""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelyard.server.storage.blob_store import StoreFull, StoreUnavailable

_DISK_FULL_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}
_SYNC_FILE_RANGE_WRITE = 2

_sync_file_range = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


@contextmanager
def translate_disk_errors() -> Iterator[None]:
    """Translate the errors of the operating system into errors of the store.

    Raises:
        StoreFull: the disk is full, or a disk quota is exceeded.
        StoreUnavailable: any other disk error.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL_ERRORS:
            raise StoreFull("The disk is full.") from error
        raise StoreUnavailable(f"The disk failed: {error.strerror}.") from error


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_folders(folder: Path, below: Path) -> None:
    """Create ``folder`` and its missing parents below the existing folder ``below``, durably, with mode 0700."""
    if folder == below or folder.is_dir():
        return
    create_folders(folder.parent, below)
    folder.mkdir(mode=0o700, exist_ok=True)
    fsync_folder(folder.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a new small file with mode 0600 durably; its name becomes durable with an fsync of its folder.

    Raises:
        FileExistsError: the name is used.
        OSError: the disk failed; a part of the file may remain.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_all(descriptor, content, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes, offset: int) -> None:
    """Write all of ``content`` at ``offset``, with as many ``pwrite`` calls as it takes."""
    remaining = memoryview(content)
    while remaining:
        count = os.pwrite(descriptor, remaining, offset)
        remaining, offset = remaining[count:], offset + count


def rename_folder(source: Path, target: Path) -> bool:
    """Rename a folder to an unused name in one step; return False if the name is used.

    ``rename`` never replaces a folder that is not empty, and these never are: of two writers exactly one succeeds.
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
    """Ask the kernel to start writing these bytes to disk, so that the final fsync has little left to do.

    A hint: its errors are ignored, since that fsync reports them. Without effect where the system has no such call.
    """
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)
