"""Open, read, write and describe files by descriptor, with the same result on POSIX and Windows.

On POSIX ``folder`` is an open descriptor of the file's folder, and the path is relative to it. Windows opens files by
their full path only, so ``folder`` is always None there.
"""

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import threading

    from modelyard.transfer.portable import windows

    READ_ONLY = os.O_RDONLY
    # Windows has no positional reads and writes without the file's position, which all threads share.
    _position_lock = threading.Lock()

    def open_unfollowed(path: Path | str, flags: int, folder: int | None = None) -> int:
        """Open a file and return its descriptor; the file may be renamed and removed while it is open.

        Raises:
            OSError: with ELOOP for a symbolic link or a junction.
        """
        if folder is not None:
            # A caller's mistake, not something to be written: `OpenFolder` has no descriptor on Windows.
            raise ValueError("Windows opens no file relative to a folder's descriptor.")
        return windows.open_file(path, flags)

    def read_at(descriptor: int, buffer: memoryview, offset: int) -> int:
        """Read bytes from ``offset`` into ``buffer`` and return their number, which may be less than its length."""
        data = read_bytes_at(descriptor, len(buffer), offset)
        buffer[: len(data)] = data
        return len(data)

    def read_bytes_at(descriptor: int, count: int, offset: int) -> bytes:
        """Read and return at most ``count`` bytes from ``offset``."""
        with _position_lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, count)

    def write_at(descriptor: int, data: memoryview | bytes, offset: int) -> int:
        """Write bytes at ``offset`` and return how many were written, which may be less than given."""
        with _position_lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, data)

    def get_allocated_bytes(status: os.stat_result) -> int:
        """Return how many bytes of disk space a file occupies; on Windows its size."""
        return status.st_size

    def set_mtime(descriptor: int, mtime_ns: int) -> None:
        """Set the modification time of an open file."""
        windows.set_mtime(descriptor, mtime_ns)

    def get_entry_status(entry: os.DirEntry[str]) -> os.stat_result:
        """Return the status of an entry of a folder, without following links; on Windows an entry has no inode."""
        return os.lstat(entry.path)

    def is_link(status: os.stat_result) -> bool:
        """Return whether the status is of a symbolic link, a junction or another redirecting reparse point."""
        return windows.is_redirecting(status)

    def fsync_folder(folder: Path) -> None:
        """Do nothing: Windows cannot sync a folder, and NTFS keeps the order of its changes itself."""

else:
    import stat

    # O_NONBLOCK: opening a pipe that was put in a file's place would block forever.
    READ_ONLY = os.O_RDONLY | os.O_NONBLOCK

    def open_unfollowed(path: Path | str, flags: int, folder: int | None = None) -> int:
        """Open a file and return its descriptor.

        Raises:
            OSError: with ELOOP for a symbolic link.
        """
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=folder)

    def read_at(descriptor: int, buffer: memoryview, offset: int) -> int:
        """Read bytes from ``offset`` into ``buffer`` and return their number, which may be less than its length."""
        return os.preadv(descriptor, [buffer], offset)

    def read_bytes_at(descriptor: int, count: int, offset: int) -> bytes:
        """Read and return at most ``count`` bytes from ``offset``."""
        return os.pread(descriptor, count, offset)

    def write_at(descriptor: int, data: memoryview | bytes, offset: int) -> int:
        """Write bytes at ``offset`` and return how many were written, which may be less than given."""
        return os.pwrite(descriptor, data, offset)

    def get_allocated_bytes(status: os.stat_result) -> int:
        """Return how many bytes of disk space a file occupies, which are fewer than its size if it has holes."""
        return status.st_blocks * 512

    def set_mtime(descriptor: int, mtime_ns: int) -> None:
        """Set the modification time of an open file."""
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))

    def get_entry_status(entry: os.DirEntry[str]) -> os.stat_result:
        """Return the status of an entry of a folder, without following links."""
        return entry.stat(follow_symlinks=False)

    def is_link(status: os.stat_result) -> bool:
        """Return whether the status, which was read without following links, is of a symbolic link."""
        return stat.S_ISLNK(status.st_mode)

    def fsync_folder(folder: Path) -> None:
        """Sync a folder, so that its entries survive a power failure."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
