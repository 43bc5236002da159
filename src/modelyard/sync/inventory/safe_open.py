"""Hash files of unknown origin, without blocking on a pipe or following an unexpected link."""

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from modelyard.transfer.portable.files import READ_ONLY, open_unfollowed, read_at
from modelyard.transfer.source_file import FileIdentity

_CHUNK_SIZE = 1024 * 1024


class FileUnreadable(Exception):
    """The file cannot be hashed now; the text gives the reason as the end of a sentence."""


class ReadStopped(Exception):
    """The caller asked to stop reading."""


def hash_file(
    path: Path,
    identity: FileIdentity,
    on_chunk: Callable[[int], None],
    stopped: threading.Event,
    *,
    through_links: bool,
) -> str:
    """Return the SHA-256 of the file, if it still has ``identity``; blocking. ``on_chunk`` gets each chunk's size.

    Without ``through_links``, a link as the last part of the path is an error; links above it are followed.

    Raises:
        FileUnreadable: it is missing, cannot be read, is not a regular file, or was modified since or meanwhile.
        ReadStopped: ``stopped`` was set.
    """
    try:
        descriptor = open_unfollowed(os.path.realpath(path) if through_links else path, READ_ONLY)
        try:
            if _get_identity(descriptor) != identity:
                raise FileUnreadable("it changed during the scan")
            sha256 = _hash_descriptor(descriptor, on_chunk, stopped)
            if _get_identity(descriptor) != identity:
                raise FileUnreadable("it changed while it was read")
        finally:
            os.close(descriptor)
    except OSError as failure:
        if failure.errno == errno.ENOENT:
            raise FileUnreadable("it disappeared during the scan") from failure
        raise FileUnreadable(f"it cannot be read ({failure.strerror})") from failure
    return sha256


def _hash_descriptor(descriptor: int, on_chunk: Callable[[int], None], stopped: threading.Event) -> str:
    """Return the SHA-256 of an open file; raise ReadStopped once ``stopped`` is set."""
    digest, position = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_CHUNK_SIZE))
    while count := read_at(descriptor, buffer, position):
        if stopped.is_set():
            raise ReadStopped
        digest.update(buffer[:count])
        on_chunk(count)
        position += count
    return digest.hexdigest()


def _get_identity(descriptor: int) -> FileIdentity:
    """Return the identity of an open file; raise FileUnreadable if it is not a regular file."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise FileUnreadable("it is not a regular file any more")
    return FileIdentity(status.st_size, status.st_mtime_ns, status.st_ino)
