"""The journal of a multipart upload's durable parts: an append-only file with one checksummed line a change.

    <crc32> + <number> <size> <etag>      the part's bytes are on the disk
    <crc32> - <number> 0 .                the part's bytes are about to be written again

A line is valid once it is synced. A crash can damage the last line only; its change was never acknowledged or acted
upon, so the line is dropped. A damaged line before the last one means that the disk changed the file, and a lost ``-``
could list bytes that are half old, half new: then all lines are ignored, and all parts must be sent again.
"""

import os
import zlib
from pathlib import Path

from modelyard.server.storage.blob_store import StoredPart, StoreUnavailable
from modelyard.server.storage.local.fsync import translate_disk_errors, write_all

JOURNAL = "parts.log"


class PartsJournal:
    """The journal of one upload. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_broken = False
        self._length = 0

    def load(self) -> dict[int, StoredPart]:
        """Read the file and return the listed parts by number; call it before the first change.

        The next entry overwrites what follows the last valid line, or all of a damaged journal. Errors of the operating
        system pass through.
        """
        parts, self._length = _replay(self._path.read_bytes())
        return parts

    def add_part(self, part: StoredPart) -> None:
        """List a part durably. Its bytes must be durable already.

        Raises:
            StoreFull, StoreUnavailable: the part is not listed.
        """
        self._append(f"+ {part.number} {part.size} {part.etag}")

    def remove_part(self, number: int) -> None:
        """Remove a part from the list durably, before its first byte changes.

        Raises:
            StoreFull, StoreUnavailable: the part must not be written.
        """
        self._append(f"- {number} 0 .")

    def _append(self, entry: str) -> None:
        """Append a line durably, over the rest of a line that could not be completed before.

        Raises:
            StoreUnavailable: the disk failed, now or in an earlier flush.
            StoreFull: the disk is full.
        """
        if self._is_broken:
            raise StoreUnavailable("The disk failed during this upload. Abort it and start again.")
        line = _format_line(entry)
        with translate_disk_errors():
            descriptor = os.open(self._path, os.O_WRONLY)
            try:
                os.ftruncate(descriptor, self._length)
                write_all(descriptor, line, self._length)
                self._sync(descriptor)
            finally:
                os.close(descriptor)
        self._length += len(line)

    def _sync(self, descriptor: int) -> None:
        """Flush the file; after a failure, which is re-raised, the journal refuses all further lines."""
        try:
            os.fsync(descriptor)
        except OSError:
            # The state on the disk is unknown, and a second fsync would report success.
            self._is_broken = True
            raise


def _format_line(entry: str) -> bytes:
    """Return the journal line of an entry, with its checksum."""
    return f"{zlib.crc32(entry.encode()):08x} {entry}\n".encode()


def _replay(content: bytes) -> tuple[dict[int, StoredPart], int]:
    """Return the listed parts, and the length of the journal up to its last valid line.

    If a line before the last one is damaged, no line counts: no parts and 0 are returned.
    """
    parts: dict[int, StoredPart] = {}
    length = 0
    lines = content.splitlines(keepends=True)
    for index, line in enumerate(lines):
        entry = line[9:-1].decode("ascii", "replace")
        if _format_line(entry) != line:
            is_last = index == len(lines) - 1
            return (parts, length) if is_last else ({}, 0)
        sign, number, size, etag = entry.split(" ")
        if sign == "+":
            parts[int(number)] = StoredPart(int(number), etag, int(size))
        else:
            parts.pop(int(number), None)
        length += len(line)
    return parts, length
