"""The bytes of open files: their hash, their copy, and the one time that they get."""

import hashlib
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

from modelyard.client.sync.acting.troubles import NotPlaced
from modelyard.client.sync.holding.reading import Stopped
from modelyard.client.sync.wanted import Wanted
from modelyard.client.sync.wording import quoted
from modelyard.transfer.source import Identity

_PIECE = 1024 * 1024
# Of ids that carry no time, or one that no registry can have had.
_SOME_TIME = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
_LAST_TIME = datetime(2037, 1, 1, tzinfo=UTC).timestamp()
_DAY_SECONDS = 24 * 60 * 60


def hash_of(descriptor: int, stopped: threading.Event, copy: int | None = None) -> str:
    """The SHA-256 of all bytes of a file, which are written to ``copy`` as they come.

    Raises:
        Stopped: ``stopped`` was set.
    """
    digest, position = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_PIECE))
    while count := os.preadv(descriptor, [buffer], position):
        if stopped.is_set():
            raise Stopped
        digest.update(buffer[:count])
        written = 0
        while copy is not None and written < count:
            written += os.pwrite(copy, buffer[written:count], position + written)
        position += count
    return digest.hexdigest()


def unchanged_hash_of(path: Path, descriptor: int, stopped: threading.Event) -> str:
    """The SHA-256 of a file that others may write.

    Raises:
        NotPlaced: it was written meanwhile.
        Stopped: ``stopped`` was set.
    """
    before = identity_of(descriptor)
    found = hash_of(descriptor, stopped)
    if identity_of(descriptor) != before:
        raise NotPlaced("blocked", f"{quoted(path)} is being written. It is left alone until that has ended.")
    return found


def identity_of(descriptor: int) -> Identity:
    """What changes when an open file is written."""
    status = os.fstat(descriptor)
    return Identity(status.st_size, status.st_mtime_ns, status.st_ino)


def stamp(descriptor: int, wanted: Wanted) -> None:
    """Give a file of ours its time, and bring it to the disk."""
    set_time(descriptor, wanted)
    os.fsync(descriptor)


def set_time(descriptor: int, wanted: Wanted) -> None:
    """Give a file of ours its time."""
    moment = time_of(wanted)
    os.utime(descriptor, ns=(moment, moment))


def time_of(wanted: Wanted) -> int:
    """The modification time of a model's file in nanoseconds: the same on every machine, and again when it comes back.

    ComfyUI knows a file that was away by its size and time. So the time may not move when the record is edited, as
    ``updated_at`` does, and two contents may not share one, since models of one kind often have one size: it is the
    birth of the record, which its id (UUIDv7) carries, less a part of a day that the hash chooses.
    """
    born = (wanted.id.int >> 80) / 1000 if wanted.id.version == 7 else _SOME_TIME
    if not _SOME_TIME <= born < _LAST_TIME:
        born = _SOME_TIME
    seconds = int(born) - int(wanted.sha256[:8], 16) % _DAY_SECONDS
    return seconds * 10**9 + int(wanted.sha256[8:16], 16) % 10**9
