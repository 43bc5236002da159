"""How a check reads a file: by ranges, bounded, whatever the store."""

import threading
from typing import Protocol

from modelyard.server.models.content.refusing import refusal

CHUNK = 1 << 20
# What a header of many MiB becomes while it is parsed can be four times its size: two at once, however many uploads
# are registered at this moment.
LARGE_HEADERS = threading.BoundedSemaphore(2)


class Reader(Protocol):
    """Bytes somewhere in a store.

    ``read`` answers short only at the end of the file, and may raise the store's own errors, which pass through.
    """

    @property
    def size(self) -> int: ...

    def read(self, start: int, length: int) -> bytes: ...


def read_exactly(reader: Reader, start: int, length: int) -> bytes:
    """Exactly ``length`` bytes.

    Raises:
        NotAModelFile: the file ends before.
    """
    chunk = reader.read(start, length)
    if len(chunk) != length:
        raise refusal("This file ends in the middle: it is truncated. Upload the whole file again.", "truncated file")
    return chunk


class Cursor:
    """Walks forward through the structure of a file and reads it in chunks of ``CHUNK`` bytes.

    A length that the file claims is compared with ``end`` before anything is read or allocated for it; and what is
    *read*, unlike what is skipped, is limited to ``budget`` bytes in all, so that a header cannot eat the memory.
    """

    def __init__(self, reader: Reader, *, start: int, end: int, budget: int, chunk: int = CHUNK) -> None:
        self._reader = reader
        self._chunk_size = chunk
        self._chunk = b""
        self._chunk_start = start
        self.position = start
        self.end = end
        self.budget = budget

    def left(self) -> int:
        return self.end - self.position

    def take(self, length: int) -> bytes:
        """The next ``length`` bytes.

        Raises:
            NotAModelFile: they reach past ``end`` or past the budget.
        """
        self._claim(length)
        self.charge(length)
        if self.position < self._chunk_start or self.position + length > self._chunk_start + len(self._chunk):
            self._chunk = read_exactly(self._reader, self.position, min(self.left(), max(length, self._chunk_size)))
            self._chunk_start = self.position
        start = self.position - self._chunk_start
        self.position += length
        return self._chunk[start : start + length]

    def charge(self, length: int) -> None:
        """Count ``length`` bytes as read: for what is skipped and yet belongs to a header.

        Raises:
            NotAModelFile: the budget is used up.
        """
        self.budget -= length
        if self.budget < 0:
            raise refusal(
                "The description of the tensors in this file is larger than this registry reads. "
                "If the file is real, tell the people who run the registry.",
                "oversized header",
            )

    def skip(self, length: int) -> None:
        """Pass over ``length`` bytes without reading them."""
        self._claim(length)
        self.position += length

    def _claim(self, length: int) -> None:
        if length > self.left():
            raise refusal(
                "A length inside this file reaches past its end: it is truncated or damaged. "
                "Upload the whole file again.",
                "truncated file",
            )
