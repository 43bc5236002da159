"""Bytes of downloads that are not a whole part yet: kept in memory until the next try, within a limit for the process.

A store takes whole parts only, and a source may cut each connection before one is complete.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_KEPT_BYTES = 64 * 1024 * 1024
# Longer than the longest pause between two tries.
KEPT_SECONDS = 2 * 3600.0


@dataclass
class UnfinishedPart:
    """The part of a file that is being downloaded: its bytes so far, which begin at ``start`` in the file."""

    start: int
    pieces: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = sum(len(piece) for piece in self.pieces)

    def add(self, piece: bytes) -> None:
        """Append bytes."""
        # Joined once: a buffer that grows and is cut copies each byte several times.
        self.pieces.append(piece)
        self.size += len(piece)

    def complete(self) -> bytes:
        """Return the bytes of the part, and begin the next one, which is empty."""
        content = b"".join(self.pieces)
        self.start, self.pieces, self.size = self.start + self.size, [], 0
        return content


@dataclass(frozen=True)
class _Kept:
    """The bytes of an unfinished part, the strong ETag of their content, and when they are deleted."""

    start: int
    etag: str
    content: bytes
    until: float


class UnfinishedParts:
    """The unfinished parts of a process's interrupted downloads, by multipart upload. Thread-safe.

    They have ``max_bytes`` together. What does not fit is not kept: its next try begins at the start of the part. So do
    the tries of another process, and those after a restart.
    """

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes, self._clock = max_bytes, clock
        self._lock = threading.Lock()
        self._kept = dict[str, _Kept]()

    def keep(self, multipart_id: str, part: UnfinishedPart, etag: str | None) -> int:
        """Keep the bytes of an upload's part for ``KEPT_SECONDS``, instead of earlier ones; return how many are kept.

        None are without a strong ETag, since no range could continue them, or if they do not fit.
        """
        with self._lock:
            moment = self._clock()
            self._kept = {key: each for key, each in self._kept.items() if each.until > moment and key != multipart_id}
            free = self._max_bytes - sum(len(each.content) for each in self._kept.values())
            if etag is None or not 0 < part.size <= free:
                return 0
            content = b"".join(part.pieces)
            self._kept[multipart_id] = _Kept(part.start, etag, content, moment + KEPT_SECONDS)
            return part.size

    def find(self, multipart_id: str, start: int, etag: str | None) -> bytes:
        """Return the kept bytes of the part that begins at ``start`` of the content with this ETag; empty if none."""
        with self._lock:
            kept = self._kept.get(multipart_id)
        return kept.content if kept is not None and (kept.start, kept.etag) == (start, etag) else b""

    def drop(self, multipart_id: str) -> None:
        """Drop what is kept of an upload, if anything is."""
        with self._lock:
            self._kept.pop(multipart_id, None)
