"""Giving files other names, in one step and never over a name that is taken."""

import ctypes
import errno
import os
import stat

from modelyard.client.sync.acting.folders import Folder

_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2
# What kernels and file systems without the flag answer: NFS, some FUSE mounts.
_NO_FLAG = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})

_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


class CannotExchange(Exception):
    """The kernel or the file system cannot give two files each other's names in one step."""


def move(folder: Folder, name: str, target: Folder, new_name: str) -> None:
    """Rename within a file system, then make both folders durable.

    Raises:
        FileExistsError: the new name is taken; nothing has changed.
        OSError: with EXDEV, if the two folders are on two file systems.
    """
    try:
        _rename(folder, name, target, new_name, _RENAME_NOREPLACE)
    except OSError as failure:
        if failure.errno not in _NO_FLAG:
            raise
        _link(folder, name, target, new_name)
    target.sync()
    folder.sync()


def exchange(folder: Folder, name: str, other: Folder, other_name: str) -> None:
    """Give each of two files the other's name. Durable once both folders are synced.

    Raises:
        CannotExchange: that cannot be had here; nothing has changed.
        OSError: with EXDEV, if the two folders are on two file systems; with ENOENT, if one of the files is not there.
    """
    try:
        _rename(folder, name, other, other_name, _RENAME_EXCHANGE)
    except OSError as failure:
        if failure.errno not in _NO_FLAG:
            raise
        raise CannotExchange from failure


def _rename(folder: Folder, name: str, target: Folder, new_name: str, how: int) -> None:
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    old, new = os.fsencode(name), os.fsencode(new_name)
    if _renameat2(folder.descriptor, old, target.descriptor, new, how) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), new_name)


def _link(folder: Folder, name: str, target: Folder, new_name: str) -> None:
    """A link never replaces. Between the two calls the file has two names, and is whole under both."""
    try:
        os.link(
            name,
            new_name,
            src_dir_fd=folder.descriptor,
            dst_dir_fd=target.descriptor,
            follow_symlinks=False,
        )
    except FileExistsError:
        # NFS says so too when it did the work and the answer was lost.
        if not _is_same(folder.status(name), target.status(new_name)):
            raise
    except OSError as failure:
        if failure.errno not in _NO_LINKS:
            raise
        _rename_unless_seen(folder, name, target, new_name)
        return
    folder.remove(name)


def _rename_unless_seen(folder: Folder, name: str, target: Folder, new_name: str) -> None:
    """Where nothing better is to be had: FAT, and shares of it."""
    if target.status(new_name) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new_name)
    os.rename(name, new_name, src_dir_fd=folder.descriptor, dst_dir_fd=target.descriptor)


def _is_same(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    return one is not None and other is not None and stat.S_ISREG(one.st_mode) and os.path.samestat(one, other)
