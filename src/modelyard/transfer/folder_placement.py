"""Place a folder of complete files under its final name in one step, so that it appears whole or not at all."""

import errno
import os
from pathlib import Path

from modelyard.transfer.errors import TargetExists
from modelyard.transfer.portable.files import fsync_folder
from modelyard.transfer.portable.folders import exchange_by_renames, renamed_for_exchange, try_exchange

# What rename() reports if something that is not an empty folder has the name; Windows reports empty folders too.
_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EACCES})


def place_folder(folder: Path, target: Path) -> None:
    """Rename a folder, whose files are synced, to ``target`` on the same file system, and sync the folders.

    Raises:
        TargetExists: something is at ``target``; on POSIX, an empty folder is replaced. ``folder`` is kept.
        OSError: for other reasons.
    """
    _sync_folders(folder)
    try:
        # On POSIX this replaces nothing but an empty folder; on Windows nothing at all.
        os.rename(folder, target)  # noqa: PTH104 - Path.rename is the same call, but promises replacement on POSIX
    except OSError as failure:
        if failure.errno in _TAKEN and os.path.lexists(target):
            raise TargetExists(target) from None
        raise
    _sync_parents(folder, target)


def exchange_folder(folder: Path, target: Path) -> Path:
    """Place a folder, whose files are synced, at ``target``; return where what was at ``target`` is now, beside it.

    That is a path of ``list_exchanged``, also if the process is killed. Both are on the same file system. They are
    exchanged in one step where the system can do it, else as ``exchange_by_renames``.

    Raises:
        TargetExists: ``target`` is a link or not a folder. Both are kept.
        OSError: for other reasons. Both are kept; if only the last sync failed, they are exchanged.
    """
    if target.is_symlink() or not target.is_dir():
        raise TargetExists(target)
    _sync_folders(folder)
    with renamed_for_exchange(folder, target) as aside:
        if not try_exchange(aside, target):
            exchange_by_renames(aside, target)
    # Outside of the block: a failure from here on must not rename the earlier folder.
    _sync_parents(folder, target)
    return aside


def _sync_folders(folder: Path) -> None:
    """Sync a folder and those below it."""
    for parent, _, _ in os.walk(folder):
        fsync_folder(Path(parent))


def _sync_parents(folder: Path, target: Path) -> None:
    """Sync the folders that contain these two."""
    for parent in {folder.parent, target.parent}:
        fsync_folder(parent)
