"""Hash and copy open files, and set a model's modification time."""

import hashlib
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.safe_open import ReadStopped
from modelyard.transfer.source_file import FileIdentity

_CHUNK_SIZE = 1024 * 1024
# The time for ids without a time, or with an impossible one.
_DEFAULT_TIME = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
_LATEST_TIME = datetime(2037, 1, 1, tzinfo=UTC).timestamp()
_DAY_SECONDS = 24 * 60 * 60


def hash_descriptor(descriptor: int, stopped: threading.Event, copy_descriptor: int | None = None) -> str:
    """Return the SHA-256 of a file, and write its content to ``copy_descriptor`` if given; the copy is not synced.

    Raises:
        ReadStopped: ``stopped`` was set.
    """
    digest, position = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_CHUNK_SIZE))
    while count := os.preadv(descriptor, [buffer], position):
        if stopped.is_set():
            raise ReadStopped
        digest.update(buffer[:count])
        written = 0
        while copy_descriptor is not None and written < count:
            written += os.pwrite(copy_descriptor, buffer[written:count], position + written)
        position += count
    return digest.hexdigest()


def hash_unchanged_file(path: Path, descriptor: int, stopped: threading.Event) -> str:
    """Return the SHA-256 of a file that others may write.

    Raises:
        NotPlaced: it was modified meanwhile.
        ReadStopped: ``stopped`` was set.
    """
    before = get_identity(descriptor)
    sha256 = hash_descriptor(descriptor, stopped)
    if get_identity(descriptor) != before:
        raise NotPlaced("blocked", f"{quoted(path)} is being written. It is checked again when that has ended.")
    return sha256


def get_identity(descriptor: int) -> FileIdentity:
    """Return the size, modification time and inode of an open file, which change when it is written."""
    status = os.fstat(descriptor)
    return FileIdentity(status.st_size, status.st_mtime_ns, status.st_ino)


def set_time_and_sync(descriptor: int, desired: DesiredModel) -> None:
    """Set the modification time of an owned file, and make the file durable."""
    set_model_time(descriptor, desired)
    os.fsync(descriptor)


def set_model_time(descriptor: int, desired: DesiredModel) -> None:
    """Set the modification time of an owned file, see ``get_model_mtime_ns``."""
    mtime_ns = get_model_mtime_ns(desired)
    os.utime(descriptor, ns=(mtime_ns, mtime_ns))


def get_model_mtime_ns(desired: DesiredModel) -> int:
    """Return the modification time of a model's file in nanoseconds, the same on every machine.

    ComfyUI identifies a file by size and time. So the time must not change when the record is edited, as ``updated_at``
    does, and two contents must not share one, since models of one kind often have the same size. It is the creation of
    the record, which its id (UUIDv7) contains, minus a part of a day derived from the hash. A file that is removed and
    downloaded again gets the same time.
    """
    created = (desired.id.int >> 80) / 1000 if desired.id.version == 7 else _DEFAULT_TIME
    if not _DEFAULT_TIME <= created < _LATEST_TIME:
        created = _DEFAULT_TIME
    seconds = int(created) - int(desired.sha256[:8], 16) % _DAY_SECONDS
    return seconds * 10**9 + int(desired.sha256[8:16], 16) % 10**9
