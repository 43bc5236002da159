"""Which bytes of a file are there: a set of spans, kept sorted and apart; pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Span = tuple[int, int]  # first byte, byte after the last


class Spans:
    """Half-open spans of byte offsets that neither touch nor overlap. Not thread-safe."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0
        for start, end in spans:
            self.add(start, end)

    def __iter__(self) -> Iterator[Span]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def add(self, start: int, end: int) -> None:
        """Note that the bytes from ``start`` to before ``end`` are there; they may be there already."""
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

    def missing(self, start: int, end: int) -> list[Span]:
        """What is not there between ``start`` and ``end``, in order."""
        gaps: list[Span] = []
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

    def frontier(self) -> int:
        """The bytes that are there without a gap, counted from 0."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else 0
