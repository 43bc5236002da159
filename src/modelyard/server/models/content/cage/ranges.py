"""Bytes of the file under examination: asked by range from whoever started the cage, kept a little."""

from collections.abc import Callable

CHUNK = 64 * 1024
MAX_LINE = 4096


class Refused(Exception):
    """The file is not clean. ``reason`` completes the sentence "This file ..."; ``found`` names it in few words."""

    def __init__(self, reason: str, found: str = "damaged pickle file") -> None:
        super().__init__(reason)
        self.reason = reason
        self.found = found


class Ranges:
    """Random access with a window of one chunk: neighbours, as the members of a zip are, cost one question."""

    def __init__(self, size: int, ask: Callable[[int, int], bytes]) -> None:
        self.size = size
        self._ask = ask
        self._window = b""
        self._window_start = 0

    def read(self, start: int, length: int) -> bytes:
        """Exactly ``length`` bytes.

        Raises:
            Refused: the file ends before.
        """
        if length < 0 or start < 0 or start + length > self.size:
            raise Refused("ends before what it describes: it is truncated", "truncated file")
        offset = start - self._window_start
        if offset < 0 or offset + length > len(self._window):
            self._window = self._fetch(start, min(self.size - start, max(length, CHUNK)))
            self._window_start, offset = start, 0
        return self._window[offset : offset + length]

    def _fetch(self, start: int, length: int) -> bytes:
        pieces: list[bytes] = []
        while length > 0:
            piece = self._ask(start, min(length, 1 << 20))
            if not piece:
                raise Refused("ends before what it describes: it is truncated", "truncated file")
            pieces.append(piece)
            start += len(piece)
            length -= len(piece)
        return b"".join(pieces)


class RangeFile:
    """One pickle at a place of the file, with the three methods that ``pickletools.genops`` calls."""

    def __init__(self, ranges: Ranges, start: int, end: int) -> None:
        self._ranges = ranges
        self._end = end
        self.position = start

    def tell(self) -> int:
        return self.position

    def read(self, length: int) -> bytes:
        """Short at the end, as a file is: the opcode reader notices."""
        length = max(0, min(length, self._end - self.position))
        chunk = self._ranges.read(self.position, length)
        self.position += length
        return chunk

    def readline(self) -> bytes:
        line = self._ranges.read(self.position, min(MAX_LINE, self._end - self.position))
        line = line[: line.find(b"\n") + 1]
        if not line:
            raise Refused("has a line in its pickle that is too long or has no end")
        self.position += len(line)
        return line
