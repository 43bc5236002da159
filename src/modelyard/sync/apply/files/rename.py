"""Rename and exchange files atomically, without replacing an existing file."""

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass

from modelyard.sync.apply.files.dir_handles import OpenFolder

_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2
# Errors of kernels and file systems without the flag, such as NFS and some FUSE mounts.
_FLAG_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_LINK_UNSUPPORTED = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
# What renaming a folder over a file, or over a folder with files, raises.
_NAME_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})

_renameat2 = None if sys.platform == "win32" else getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


@dataclass(frozen=True)
class StagedFile:
    """A durable file with verified content that is about to be renamed to its final name.

    Check ``descriptor`` rather than the name, which others may replace.
    """

    folder: OpenFolder
    name: str
    descriptor: int


class ExchangeUnsupported(Exception):
    """The kernel or the file system cannot exchange two names in one step."""


def rename_without_replacing(folder: OpenFolder, name: str, target: OpenFolder, new_name: str) -> None:
    """Rename within a file system, then make both folders durable.

    On file systems with neither rename flags nor hard links, such as FAT, a file that gets the new name at the same
    moment is replaced.

    Raises:
        FileExistsError: the new name is taken; nothing has changed.
        OSError: with EXDEV, if the two folders are on two file systems.
    """
    _rename_durably(folder, name, target, new_name, _link_and_unlink)


def rename_folder_without_replacing(folder: OpenFolder, name: str, target: OpenFolder, new_name: str) -> None:
    """Rename a folder within a file system, then make both parents durable.

    Without rename flags, an empty folder that gets the new name at the same moment is replaced, and nothing else is.

    Raises:
        FileExistsError: the new name is taken; nothing has changed.
        OSError: with EXDEV, if the two parents are on two file systems.
    """
    _rename_durably(folder, name, target, new_name, _check_and_rename_folder)


def exchange_names(folder: OpenFolder, name: str, other: OpenFolder, other_name: str) -> None:
    """Exchange the names of two files or folders. Durable once both parents are synced.

    Raises:
        ExchangeUnsupported: not possible here; nothing has changed.
        OSError: with EXDEV, if the two parents are on two file systems; with ENOENT, if one of the names is missing.
    """
    try:
        _call_renameat2(folder, name, other, other_name, _RENAME_EXCHANGE)
    except OSError as failure:
        if failure.errno not in _FLAG_UNSUPPORTED:
            raise
        raise ExchangeUnsupported from failure


def _rename_durably(
    folder: OpenFolder,
    name: str,
    target: OpenFolder,
    new_name: str,
    rename_without_flags: Callable[[OpenFolder, str, OpenFolder, str], None],
) -> None:
    """Rename with the system's flag, or without where it has none, and make both parents durable."""
    try:
        _call_renameat2(folder, name, target, new_name, _RENAME_NOREPLACE)
    except OSError as failure:
        if failure.errno not in _FLAG_UNSUPPORTED:
            raise
        rename_without_flags(folder, name, target, new_name)
    target.sync_to_disk()
    folder.sync_to_disk()


def _call_renameat2(folder: OpenFolder, name: str, target: OpenFolder, new_name: str, flag: int) -> None:
    """Call Linux's ``renameat2`` with a flag; raise OSError with ENOSYS elsewhere, and for a folder by its path."""
    if _renameat2 is None or folder.descriptor is None or target.descriptor is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    old, new = os.fsencode(name), os.fsencode(new_name)
    if _renameat2(folder.descriptor, old, target.descriptor, new, flag) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), new_name)


def _link_and_unlink(folder: OpenFolder, name: str, target: OpenFolder, new_name: str) -> None:
    """Rename by a hard link, which never replaces a file.

    In between the file has both names, and is complete under both.
    """
    try:
        os.link(
            folder.locate(name),
            target.locate(new_name),
            src_dir_fd=folder.descriptor,
            dst_dir_fd=target.descriptor,
            follow_symlinks=False,
        )
    except FileExistsError:
        # NFS reports this too if it created the link and its response was lost.
        if not _is_same_file(folder.get_status(name), target.get_status(new_name)):
            raise
    except OSError as failure:
        if failure.errno not in _LINK_UNSUPPORTED:
            raise
        _check_and_rename(folder, name, target, new_name)
        return
    folder.remove_file(name)


def _check_and_rename(folder: OpenFolder, name: str, target: OpenFolder, new_name: str) -> None:
    """Rename a file after a check that the name is unused, for file systems such as FAT.

    A file that gets the name in between is replaced.

    Raises:
        FileExistsError: the name is used.
    """
    if target.get_status(new_name) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new_name)
    folder.replace_file(name, target, new_name)


def _check_and_rename_folder(folder: OpenFolder, name: str, target: OpenFolder, new_name: str) -> None:
    """Rename a folder after checking that the name is unused; see ``rename_folder_without_replacing``.

    Raises:
        FileExistsError: the name is used.
    """
    if target.get_status(new_name) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new_name)
    try:
        os.rename(
            folder.locate(name), target.locate(new_name), src_dir_fd=folder.descriptor, dst_dir_fd=target.descriptor
        )
    except OSError as failure:
        if failure.errno not in _NAME_TAKEN:
            raise
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new_name) from failure


def _is_same_file(first: os.stat_result | None, second: os.stat_result | None) -> bool:
    """Return whether two statuses are of one regular file."""
    if first is None or second is None:
        return False
    return stat.S_ISREG(first.st_mode) and os.path.samestat(first, second)
