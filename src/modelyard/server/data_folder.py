"""The data folder and its permissions: closed to other users of the machine, since its database holds secrets."""

import logging
import os
import stat
from pathlib import Path

DATABASE_FILE = "modelyard.sqlite3"
# A folder with one of these files is a registry's own, so its mode may be changed.
_OWN_FILES = frozenset({DATABASE_FILE, "lock", "objects"})
_SECRET_FILES = (DATABASE_FILE, f"{DATABASE_FILE}-wal", f"{DATABASE_FILE}-shm", f"{DATABASE_FILE}-journal", "lock")
log = logging.getLogger("modelyard.data_folder")


class FolderNotPrivate(PermissionError):
    """Other users of the machine can enter the data folder, and the server may not or should not change that."""


def prepare_data_folder(folder: Path, *, is_shared_with_group: bool) -> None:
    """Create the data folder with mode 0700, or close an existing one and its database to other users. Idempotent.

    The mode of an existing folder is changed, with a log line, if the server's user owns it and it is empty or a
    registry's. Files are always closed to the group; ``is_shared_with_group`` applies to the folder only.

    Raises:
        FolderNotPrivate: other users can enter the folder and its mode must not be changed; the text says what to do.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    excess = stat.S_IMODE(found.st_mode) & (0o007 if is_shared_with_group else 0o077)
    if excess:
        reason = _find_reason_to_refuse(folder, found)
        if reason is not None:
            raise _not_private(folder, found, reason)
        _tighten(folder, excess)
    for name in _SECRET_FILES:
        _close_file(folder / name)


def create_database_file(file: Path) -> None:
    """Create the SQLite file with mode 0600, which its -wal and -shm inherit; SQLite would let others read it.

    An existing file stays as it is.
    """
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))


def _find_reason_to_refuse(folder: Path, found: os.stat_result) -> str | None:
    """Return why the folder's mode must not be changed, as a sentence for the operator, or None."""
    if os.geteuid() not in (0, found.st_uid):
        return "It belongs to another user, so the server cannot restrict its mode."
    if found.st_mode & stat.S_ISVTX:
        return "It is a folder that many users share."
    names = {entry.name for entry in folder.iterdir()}
    if names and not names & _OWN_FILES:
        return "It contains other files than a registry's, so the server does not change its mode."
    return None


def _not_private(folder: Path, found: os.stat_result, reason: str) -> FolderNotPrivate:
    """Build the error for a folder that others can enter; it says why and what to do."""
    mode = stat.S_IMODE(found.st_mode)
    return FolderNotPrivate(
        f'The data folder "{folder}" is open to other users of this machine (mode {mode:o}), but it stores secrets and '
        f'models. {reason} Close it (chmod 700 "{folder}"), or name a folder in it that does not '
        "exist yet. If its group should have access, set MODELYARD_DATA_DIR_SHARED=true."
    )


def _tighten(path: Path, excess: int) -> None:
    """Remove the excess permissions, and log it."""
    before = stat.S_IMODE(path.stat().st_mode)
    path.chmod(before & ~excess)
    log.warning(
        "Other users of this machine could open a path of the registry; it was closed to them.",
        extra={"path": str(path), "mode_before": f"{before:o}", "mode": f"{before & ~excess:o}"},
    )


def _close_file(file: Path) -> None:
    """Close a regular file to other users and the group; does nothing if it does not exist or is of another kind."""
    try:
        found = file.lstat()
    except FileNotFoundError:
        return
    excess = stat.S_IMODE(found.st_mode) & 0o077
    if excess and stat.S_ISREG(found.st_mode):
        _tighten(file, excess)
