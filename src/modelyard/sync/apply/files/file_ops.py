"""Hash and copy open files, and set a model's modification time."""

import hashlib
import os
import threading
from pathlib import Path

from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.model_times import compute_mtime_ns
from modelyard.sync.inventory.safe_open import ReadStopped
from modelyard.transfer.portable.files import read_at, set_mtime, write_at
from modelyard.transfer.source_file import FileIdentity

_CHUNK_SIZE = 1024 * 1024


def hash_descriptor(descriptor: int, stopped: threading.Event, copy_descriptor: int | None = None) -> str:
    """Return the SHA-256 of a file, and write its content to ``copy_descriptor`` if given; the copy is not synced.

    Raises:
        ReadStopped: ``stopped`` was set.
    """
    digest, position = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_CHUNK_SIZE))
    while count := read_at(descriptor, buffer, position):
        if stopped.is_set():
            raise ReadStopped
        digest.update(buffer[:count])
        written = 0
        while copy_descriptor is not None and written < count:
            written += write_at(copy_descriptor, buffer[written:count], position + written)
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
    set_mtime(descriptor, get_model_mtime_ns(desired))


def get_model_mtime_ns(desired: DesiredModel) -> int:
    """Return the modification time of a model's file in nanoseconds, see ``compute_mtime_ns``."""
    return compute_mtime_ns(desired.id, desired.sha256)
