"""Small files that are whole or not there, and locks between processes."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_POLL_SECONDS = 0.05


class Busy(Exception):
    """Another process works on the same thing; the text says on what, and what to do."""


def write_private(path: Path, text: str) -> None:
    """Put ``text`` at ``path`` in one step, for the owner's eyes only, and on the disk before this returns."""
    # A profile may be a link into a folder of dot files: the file behind it changes, the link stays.
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """A rename is durable once its folder is; Windows has no such call."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@asynccontextmanager
async def locked(path: Path, *, wait_seconds: float) -> AsyncIterator[bool]:
    """Hold the lock file at ``path`` against other processes; yields False if it is still held after ``wait_seconds``.

    A courtesy, not a safety mechanism: some shared folders grant every lock to everybody.
    """
    handle = await asyncio.to_thread(_lock_file, path)
    try:
        patience = time.monotonic() + wait_seconds
        held = _try_lock(handle)
        while not held and time.monotonic() < patience:
            await asyncio.sleep(_POLL_SECONDS)
            held = _try_lock(handle)
        yield held
    finally:
        os.close(handle)


def _lock_file(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _try_lock(handle: int) -> bool:
    with suppress(OSError):
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
