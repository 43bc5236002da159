"""File system operations whose behavior differs between file systems: locks, free space, atomic renames."""

import errno
import hashlib
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from modelyard.transfer.errors import FREE_SPACE, DigestMismatch, DiskFull, TargetExists, build_disk_error
from modelyard.transfer.portable.files import fsync_folder, open_unfollowed
from modelyard.transfer.portable.locks import try_lock

# Errors of file systems without hard links: FAT, some network shares, some FUSE mounts.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_CHUNK_SIZE = 1024 * 1024


def get_openat_name(path: Path, folder: int | None) -> Path:
    """Return the path for system calls with ``dir_fd=folder``: only the name if ``folder``, a descriptor, is given.

    On Windows, which has no such calls, ``folder`` is always None.
    """
    return path if folder is None else Path(path.name)


def remove(path: Path, folder: int | None = None) -> None:
    """Delete a file; do nothing if it does not exist."""
    with suppress(FileNotFoundError):
        os.unlink(get_openat_name(path, folder), dir_fd=folder)


def exists(path: Path, folder: int | None = None) -> bool:
    """Return whether a name is in use, also by a symbolic link."""
    try:
        os.stat(get_openat_name(path, folder), dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def open_locked(path: Path, folder: int | None = None) -> int | None:
    """Open or create a file and lock it without waiting; return its descriptor, or None if it cannot be locked now.

    None: another descriptor, of any process, holds the lock, or its holder renamed or removed the file just now. The
    lock is advisory and ends when the descriptor is closed. ``folder`` is an open descriptor of the file's folder.

    Raises:
        OSError: with ELOOP for a symbolic link; or the file system has no locks.
    """
    name = get_openat_name(path, folder)
    descriptor = open_unfollowed(name, os.O_RDWR | os.O_CREAT, folder)
    try:
        # The previous holder may have renamed or removed the file between our open and our lock.
        if try_lock(descriptor) and os.path.samestat(
            os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False)
        ):
            return descriptor
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def open_locked_single_link(path: Path, folder: int | None = None) -> int | None:
    """Open and lock a file as ``open_locked`` does, or a new one in its place if it has other hard links.

    A process killed between link and unlink of a rename leaves a file with two names. Writing to it would change the
    finished file too.
    """
    descriptor = open_locked(path, folder)
    if descriptor is None or os.fstat(descriptor).st_nlink == 1:
        return descriptor
    remove(path, folder)
    os.close(descriptor)
    return open_locked(path, folder)


def is_locking_exclusive(beside: Path, folder: int | None = None) -> bool:
    """Return whether a locked file in the folder of ``beside`` cannot be locked again.

    On some shared file systems every lock attempt succeeds, on others none does. Creates and removes a probe file.
    Whether other machines are excluded is not tested.
    """
    probe = beside.with_name(f".{uuid4().hex}.part")
    descriptors = [_try_open_locked(probe, folder) for _ in range(2)]
    remove(probe, folder)
    for descriptor in descriptors:
        if descriptor is not None:
            os.close(descriptor)
    return descriptors[0] is not None and descriptors[1] is None


def _try_open_locked(probe: Path, folder: int | None) -> int | None:
    """Open and lock a file as ``open_locked`` does; None also if the file system has no locks."""
    try:
        return open_locked(probe, folder)
    except OSError as failure:
        if failure.errno in _NO_LOCKS:
            return None
        raise


def require_disk_space(folder: Path, needed: int, keep_free: int, file: int | None = None) -> None:
    """Raise ``DiskFull`` if ``needed`` more bytes would leave less than ``keep_free`` in ``folder``.

    ``file`` is a descriptor on that disk. On POSIX it is used instead of the path, which others could redirect.

    Raises:
        DiskFull: the space is lacking.
        DiskFailed: it cannot be read.
    """
    try:
        free = shutil.disk_usage(folder if file is None or sys.platform == "win32" else file).free
    except OSError as failure:
        raise build_disk_error(folder, failure) from failure
    if needed + keep_free > free:
        reserve = f", and {keep_free} must stay free" if keep_free else ""
        raise DiskFull(f'"{folder}" has {free} bytes free; {needed} more are needed{reserve}. {FREE_SPACE}')


def place(file: Path, target: Path, *, sha256: str, replace: bool) -> None:
    """Rename a synced file to ``target`` atomically and sync the folder of ``target``.

    From another file system, a verified copy is renamed, and ``file`` is deleted.

    Raises:
        TargetExists: ``target`` exists and ``replace`` is false; ``file`` is kept.
        DigestMismatch: the copy from the other file system does not have ``sha256``; ``file`` is kept.
        OSError: for other reasons.
    """
    try:
        _rename(file, target, replace=replace)
    except OSError as failure:
        if failure.errno != errno.EXDEV:
            raise
        copy = target.with_name(f".{uuid4().hex}.part")
        try:
            _copy(file, copy, sha256)
            _rename(copy, target, replace=replace)
        finally:
            copy.unlink(missing_ok=True)
        file.unlink()
    fsync_folder(target.parent)


def _rename(file: Path, target: Path, *, replace: bool) -> None:
    """Rename a file on the same file system; raise TargetExists if the target exists and ``replace`` is false.

    On file systems without hard links, a target that another process creates at the same moment is replaced.
    """
    if replace:
        file.replace(target)
        return
    try:
        # link() never replaces an existing file; rename() always does.
        target.hardlink_to(file)
    except FileExistsError:
        raise TargetExists(target) from None
    except OSError as failure:
        if failure.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise TargetExists(target) from None
        file.rename(target)
        return
    file.unlink()


def _copy(file: Path, copy: Path, sha256: str) -> None:
    """Copy a file to a new name, sync the copy, and raise DigestMismatch if what was copied has another SHA-256."""
    digest = hashlib.sha256()
    with file.open("rb") as reader, copy.open("xb") as writer:
        while chunk := reader.read(_CHUNK_SIZE):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    if digest.hexdigest() != sha256:
        raise DigestMismatch(sha256, digest.hexdigest())
