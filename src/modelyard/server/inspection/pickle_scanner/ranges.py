"""Byte ranges of the file under inspection, requested from the parent process, with a small cache."""

from collections.abc import Callable

CHUNK = 64 * 1024
MAX_LINE = 4096


# What the process of the scanner lacks: memory, or a module that it cannot open. It says nothing about the file.
PROCESS_FAILURES = (MemoryError, ImportError, OSError)


class Refused(Exception):
    """The file is refused. ``reason`` completes the sentence "This file ..."; ``found`` names it in few words."""

    def __init__(self, reason: str, found: str = "damaged pickle file") -> None:
        super().__init__(reason)
        self.reason = reason
        self.found = found


class Ranges:
    """Random access with a cache of the last range, so that adjacent reads, as of zip members, cost one request."""

    def __init__(self, size: int, request: Callable[[int, int], bytes]) -> None:
        self.size = size
        self._request = request
        self._window = b""
        self._window_start = 0

    def read(self, start: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``start``.

        Raises:
            Refused: the file ends before them, or a number is negative.
        """
        if length < 0 or start < 0 or start + length > self.size:
            raise Refused("ends before what it describes: it is truncated", "truncated file")
        offset = start - self._window_start
        if offset < 0 or offset + length > len(self._window):
            self._window = self._fetch(start, min(self.size - start, max(length, CHUNK)))
            self._window_start, offset = start, 0
        return self._window[offset : offset + length]

    def _fetch(self, start: int, length: int) -> bytes:
        """Request the bytes in pieces of at most 1 MiB.

        Raises:
            Refused: the file ends before them.
        """
        pieces: list[bytes] = []
        while length > 0:
            piece = self._request(start, min(length, 1 << 20))
            if not piece:
                raise Refused("ends before what it describes: it is truncated", "truncated file")
            pieces.append(piece)
            start += len(piece)
            length -= len(piece)
        return b"".join(pieces)


class RangeFile:
    """A read-only file object over one range of the file, such as a pickle in it; it cannot seek."""

    def __init__(self, ranges: Ranges, start: int, end: int) -> None:
        self._ranges = ranges
        self._end = end
        self._chunk = b""
        self._chunk_end = start
        self._offset = 0

    def tell(self) -> int:
        """Return the position in the whole file."""
        return self._chunk_end - len(self._chunk) + self._offset

    def read(self, length: int) -> bytes:
        """Return the next ``length`` bytes, fewer at the end of the range."""
        end = self._offset + length
        if end > len(self._chunk):
            self._fill(length)
            end = length
        piece = self._chunk[self._offset : end]
        self._offset += len(piece)
        return piece

    def readline(self) -> bytes:
        """Return the next line with its newline.

        Raises:
            Refused: it is longer than ``MAX_LINE`` bytes, or has no newline.
        """
        newline = self._chunk.find(b"\n", self._offset, self._offset + MAX_LINE)
        if newline < 0:
            self._fill(MAX_LINE)
            newline = self._chunk.find(b"\n", 0, MAX_LINE)
        if newline < 0:
            raise Refused("has a line in its pickle that is too long or has no end")
        line = self._chunk[self._offset : newline + 1]
        self._offset = newline + 1
        return line

    def _fill(self, length: int) -> None:
        """Read a chunk at the position, with at least ``length`` bytes if the range has them."""
        start = self.tell()
        self._chunk = self._ranges.read(start, min(self._end - start, max(length, CHUNK)))
        self._chunk_end, self._offset = start + len(self._chunk), 0
