"""Atomic writes of small files, durable folders, and lock files between processes."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from modelyard.transfer.portable.files import fsync_folder
from modelyard.transfer.portable.locks import import_portalocker, try_lock

_POLL_SECONDS = 0.05


class LockHeld(Exception):
    """Another process holds a lock; the text names what it works on and says what to do."""


def write_private_file(path: Path, text: str) -> None:
    """Write a file with mode 0600 as ``write_file`` does."""
    write_file(path, text, mode=0o600)


def write_file(path: Path, content: str | bytes, *, mode: int = 0o666) -> None:
    """Write a file atomically and durably: it is fsynced and then renamed to ``path``; the umask limits the mode.

    Missing folders are created. If ``path`` is a symbolic link, its target is replaced and the link stays. Text is
    written as UTF-8, and its line ends as they are. A process that is killed may leave a file of ``list_drafts``.
    """
    # A profile may be a link into a folder of dot files.
    path = path.resolve()
    create_folder_durably(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(opened, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    fsync_folder(path.parent)


def list_drafts(path: Path) -> list[Path]:
    """Return the files that processes left beside ``path`` when they were killed in ``write_file``, or still write."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9]+\.[0-9]+")
    with suppress(OSError):
        return [file for file in path.parent.iterdir() if name.fullmatch(file.name)]
    return []


def create_folder_durably(folder: Path) -> None:
    """Create a folder and its missing parents with mode 0700, so that they survive a power failure.

    Existing folders keep their mode.
    """
    missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True, mode=0o700)
        fsync_folder(path.parent)


def ensure_private_folder(folder: Path) -> None:
    """Create a folder with mode 0700, or set this mode if other users have access to it.

    It is for a folder whose files steer this program: another user could write such a file. The mode is not set on
    Windows.
    """
    create_folder_durably(folder)
    if sys.platform != "win32" and folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


@asynccontextmanager
async def locked(path: Path, *, wait_seconds: float) -> AsyncIterator[bool]:
    """Lock the file at ``path`` against other processes, and yield whether the lock was acquired.

    Yields False if another process still holds the lock after ``wait_seconds``. The block runs in both cases. The file
    is created if it is missing, and stays. Nothing may rely on the lock for safety: some network file systems grant
    every lock to all processes.
    """
    handle = await asyncio.to_thread(_open_lock_file, path)
    try:
        deadline = time.monotonic() + wait_seconds
        is_held = _try_lock(handle)
        while not is_held and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
            is_held = _try_lock(handle)
        yield is_held
    finally:
        os.close(handle)


def _open_lock_file(path: Path) -> int:
    """Open a lock file, created with its folders if missing; return its descriptor, which the caller closes."""
    create_folder_durably(path.parent)
    import_portalocker()
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _try_lock(handle: int) -> bool:
    """Try to lock an open file without waiting; return False if that fails for any reason."""
    with suppress(OSError):
        return try_lock(handle)
    return False
