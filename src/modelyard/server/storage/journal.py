"""Which parts of a multipart upload are durable: a file that only grows, one checked line a change.

    <crc32> + <number> <size> <etag>      the part's bytes are on the disk
    <crc32> - <number> 0 .                the part's bytes are about to be written again

A line counts once it is synced. A crash can tear the last line only; what it said was never acknowledged and never
acted upon, so it is dropped. A broken line before the last one means that the disk changed our file, and a lost ``-``
could list bytes that are half old, half new: then nothing in it is believed, and all parts are sent again.
"""

import os
import zlib
from pathlib import Path

from modelyard.server.storage.blob_store import StoredPart, StoreUnavailable
from modelyard.server.storage.durable import disk_errors, write_all

JOURNAL = "parts.log"


class PartsJournal:
    """The journal of one upload. One call at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_broken = False
        self._length = 0

    def load(self) -> dict[int, StoredPart]:
        """The parts that are listed; makes the journal fit to be continued."""
        parts, self._length = _replay(self._path.read_bytes())
        return parts

    def list(self, part: StoredPart) -> None:
        """Say durably that a part is there. Its bytes must be durable already.

        Raises:
            StoreFull, StoreUnavailable: it is not listed.
        """
        self._append(f"+ {part.number} {part.size} {part.etag}")

    def unlist(self, number: int) -> None:
        """Say durably that a part is not there, before its first byte changes.

        Raises:
            StoreFull, StoreUnavailable: the part must not be touched.
        """
        self._append(f"- {number} 0 .")

    def _append(self, entry: str) -> None:
        if self._is_broken:
            raise StoreUnavailable("The disk failed under this upload; abort it and begin again.")
        line = _line(entry)
        with disk_errors():
            descriptor = os.open(self._path, os.O_WRONLY)
            try:
                os.ftruncate(descriptor, self._length)
                write_all(descriptor, line, self._length)
                self._sync(descriptor)
            finally:
                os.close(descriptor)
        self._length += len(line)

    def _sync(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError:
            # What is on the disk now is unknown, and asking again would be answered with "fine".
            self._is_broken = True
            raise


def _line(entry: str) -> bytes:
    return f"{zlib.crc32(entry.encode()):08x} {entry}\n".encode()


def _replay(content: bytes) -> tuple[dict[int, StoredPart], int]:
    """The listed parts, and the length of the journal up to its last good line."""
    parts: dict[int, StoredPart] = {}
    length = 0
    lines = content.splitlines(keepends=True)
    for index, line in enumerate(lines):
        entry = line[9:-1].decode("ascii", "replace")
        if _line(entry) != line:
            is_last = index == len(lines) - 1
            return (parts, length) if is_last else ({}, 0)
        sign, number, size, etag = entry.split(" ")
        if sign == "+":
            parts[int(number)] = StoredPart(int(number), etag, int(size))
        else:
            parts.pop(int(number), None)
        length += len(line)
    return parts, length
