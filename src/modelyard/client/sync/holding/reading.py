"""Reading files that anybody may have put there: never stuck in a pipe, never through a link that was not asked for."""

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from modelyard.transfer.source import Identity

_PIECE = 1024 * 1024


class Unreadable(Exception):
    """The file has no digest now; the text says why as the end of a sentence."""


class Stopped(Exception):
    """The reader was asked to stop."""


def digest_of(
    path: Path, identity: Identity, moved: Callable[[int], None], stopped: threading.Event, *, through_links: bool
) -> str:
    """The SHA-256 of the file that was seen to be ``identity``; blocking. ``moved`` hears of each piece.

    Raises:
        Unreadable: it may not be read, is no file any more, or changed meanwhile.
        Stopped: ``stopped`` was set.
    """
    try:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if through_links else os.O_NOFOLLOW)
        descriptor = os.open(path, flags)
        try:
            if _identity(descriptor) != identity:
                raise Unreadable("it changed while it was looked at")
            sha256 = _digest(descriptor, moved, stopped)
            if _identity(descriptor) != identity:
                raise Unreadable("it changed while it was read")
        finally:
            os.close(descriptor)
    except OSError as failure:
        if failure.errno == errno.ENOENT:
            raise Unreadable("it went away while it was looked at") from failure
        raise Unreadable(f"it cannot be read ({failure.strerror})") from failure
    return sha256


def _digest(descriptor: int, moved: Callable[[int], None], stopped: threading.Event) -> str:
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_PIECE))
    while count := os.readv(descriptor, [buffer]):
        if stopped.is_set():
            raise Stopped
        digest.update(buffer[:count])
        moved(count)
    return digest.hexdigest()


def _identity(descriptor: int) -> Identity:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("it is no file any more")
    return Identity(status.st_size, status.st_mtime_ns, status.st_ino)
