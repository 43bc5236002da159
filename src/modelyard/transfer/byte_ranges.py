"""Sets of byte ranges: which bytes of a file have been received. Pure; performs no I/O."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

ByteRange = tuple[int, int]  # first byte, byte after the last


class ByteRanges:
    """A set of byte offsets, stored as sorted half-open ranges that neither touch nor overlap. Not thread-safe."""

    def __init__(self, spans: Iterable[ByteRange] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0  # number of bytes in the set
        for start, end in spans:
            self.add(start, end)

    def __iter__(self) -> Iterator[ByteRange]:
        """Iterate over a copy of the ranges, in ascending order."""
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def add(self, start: int, end: int) -> None:
        """Add the bytes from ``start`` up to, but not including, ``end``; nothing if ``start >= end``."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        after = bisect_right(self._starts, end)
        if first < after:
            start = min(start, self._starts[first])
            end = max(end, self._ends[after - 1])
        replaced = zip(self._starts[first:after], self._ends[first:after], strict=True)
        self.total += (end - start) - sum(old_end - old_start for old_start, old_end in replaced)
        self._starts[first:after] = [start]
        self._ends[first:after] = [end]

    def find_missing(self, start: int, end: int) -> list[ByteRange]:
        """Return the ranges between ``start`` and ``end`` that are not in the set, in ascending order."""
        gaps: list[ByteRange] = []
        for span_start, span_end in self:
            if span_end <= start:
                continue
            if span_start >= end:
                break
            if span_start > start:
                gaps.append((start, span_start))
            start = span_end
        if start < end:
            gaps.append((start, end))
        return gaps

    def count_leading_bytes(self) -> int:
        """Return how many bytes from offset 0 are in the set without a gap; 0 if the first byte is missing."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else 0
