"""The few things that differ between file systems: locks, room, and giving a file its name."""

import errno
import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from modelyard.transfer.failures import DiskFull, TargetTaken, WrongBytes, disk_failure

# What file systems without hard links answer: FAT, some network shares, some FUSE mounts.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_COPY_PIECE = 1024 * 1024


def named(path: Path, folder: int | None) -> Path:
    """How system calls name a file: by its path, or by its name alone in the open folder that has it."""
    return path if folder is None else Path(path.name)


def remove(path: Path, folder: int | None = None) -> None:
    """Delete a file, whether it is there or not."""
    with suppress(FileNotFoundError):
        os.unlink(named(path, folder), dir_fd=folder)


def locked(path: Path, folder: int | None = None) -> int | None:
    """A descriptor of the file, made if missing, under a lock that ends with the process; None if another holds it.

    The lock is advisory and belongs to the descriptor. Never follows a link.
    """
    name = named(path, folder)
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666, dir_fd=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The last holder may have renamed or removed the file between our open and our lock.
        if os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def locked_alone(path: Path, folder: int | None = None) -> int | None:
    """The same, of a file that has no other name: to write here would be to write there.

    A kill between the two halves of giving a file its name leaves one with two; it is given up for a new one.
    """
    descriptor = locked(path, folder)
    if descriptor is None or os.fstat(descriptor).st_nlink == 1:
        return descriptor
    remove(path, folder)
    os.close(descriptor)
    return locked(path, folder)


def locks_hold(beside: Path, folder: int | None = None) -> bool:
    """Whether a lock on a file ``beside`` this one keeps others out.

    On some shared file systems a lock succeeds for everybody, and two writers would share a file; on some it never
    does.
    """
    probe = beside.with_name(f".{uuid4().hex}.part")
    taken = [_locked_if_possible(probe, folder) for _ in range(2)]
    remove(probe, folder)
    for descriptor in taken:
        if descriptor is not None:
            os.close(descriptor)
    return taken[0] is not None and taken[1] is None


def _locked_if_possible(probe: Path, folder: int | None) -> int | None:
    try:
        return locked(probe, folder)
    except OSError as failure:
        if failure.errno in _NO_LOCKS:
            return None
        raise


def require_room(folder: Path, needed: int, keep_free: int, file: int | None = None) -> None:
    """Raise ``DiskFull`` if ``needed`` more bytes would leave less than ``keep_free`` in ``folder``.

    ``file`` is open there, for a folder whose path is not to be trusted.
    """
    try:
        status = os.statvfs(folder if file is None else file)
    except OSError as failure:
        raise disk_failure(folder, failure) from failure
    free = status.f_bavail * status.f_frsize
    if needed + keep_free > free:
        kept = f" and {keep_free} must stay free" if keep_free else ""
        raise DiskFull(f'"{folder}" has {free} bytes free; {needed} more are needed{kept}.')


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def place(file: Path, target: Path, *, sha256: str, replace: bool) -> None:
    """Give a synced file its name, at once and durably; the old name is gone.

    Raises:
        TargetTaken: something has the name already and ``replace`` is false; ``file`` stays.
    """
    try:
        _rename(file, target, replace=replace)
    except OSError as failure:
        if failure.errno != errno.EXDEV:
            raise
        near = target.with_name(f".{uuid4().hex}.part")
        try:
            _copy(file, near, sha256)
            _rename(near, target, replace=replace)
        finally:
            near.unlink(missing_ok=True)
        file.unlink()
    sync_folder(target.parent)


def _rename(file: Path, target: Path, *, replace: bool) -> None:
    if replace:
        file.replace(target)
        return
    try:
        # A link never replaces; rename always does.
        target.hardlink_to(file)
    except FileExistsError:
        raise TargetTaken(target) from None
    except OSError as failure:
        if failure.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise TargetTaken(target) from None
        file.rename(target)
        return
    file.unlink()


def _copy(file: Path, near: Path, sha256: str) -> None:
    """Copy to another file system and make sure that the copy was made of the right bytes."""
    digest = hashlib.sha256()
    with file.open("rb") as reader, near.open("xb") as writer:
        while piece := reader.read(_COPY_PIECE):
            digest.update(piece)
            writer.write(piece)
        writer.flush()
        os.fsync(writer.fileno())
    if digest.hexdigest() != sha256:
        raise WrongBytes(sha256, digest.hexdigest())
