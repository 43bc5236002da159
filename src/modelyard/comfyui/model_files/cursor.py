"""A position in a file that moves forward, with bounded reads."""

from modelyard.comfyui.model_files.readers import Reader, read_exactly
from modelyard.comfyui.model_files.refusals import build_refusal

CHUNK = 1 << 20
FIRST_CHUNK = 16 * 1024


class Cursor:
    """A position in a file that moves forward; reads the file in chunks.

    The first chunk has ``FIRST_CHUNK`` bytes and each next one twice as many, up to ``chunk``.

    A length that the file declares is compared with ``end`` before anything is read or allocated for it. Bytes that are
    *read*, unlike those that are skipped, are limited to ``budget`` in all, so that a header cannot exhaust the memory.
    """

    def __init__(self, reader: Reader, *, start: int, end: int, budget: int, chunk: int = CHUNK) -> None:
        self._reader = reader
        self._max_chunk_size = chunk
        self._chunk_size = FIRST_CHUNK
        self._chunk = b""
        self._chunk_start = start
        self.position = start
        self.end = end
        self.budget = budget

    def bytes_left(self) -> int:
        """Return the number of bytes between the position and ``end``."""
        return self.end - self.position

    def take(self, length: int) -> bytes:
        """Read the next ``length`` bytes and move past them.

        Raises:
            NotAModelFile: they exceed ``end`` or the budget.
        """
        self._check_within_end(length)
        self.charge(length)
        if self.position < self._chunk_start or self.position + length > self._chunk_start + len(self._chunk):
            self._chunk = read_exactly(
                self._reader, self.position, min(self.bytes_left(), max(length, self._chunk_size))
            )
            self._chunk_start = self.position
            self._chunk_size = min(2 * self._chunk_size, self._max_chunk_size)
        start = self.position - self._chunk_start
        self.position += length
        return self._chunk[start : start + length]

    def charge(self, length: int) -> None:
        """Count ``length`` bytes as read; ``take`` does, and callers do for skipped bytes that belong to a header.

        Raises:
            NotAModelFile: the budget is exhausted.
        """
        self.budget -= length
        if self.budget < 0:
            raise build_refusal(
                "The description of the tensors in this file is larger than this registry reads. "
                "If the file is genuine, ask the operators of the registry to look at it.",
                "oversized header",
            )

    def skip(self, length: int) -> None:
        """Move past ``length`` bytes without reading them; the budget does not change.

        Raises:
            NotAModelFile: they exceed ``end``.
        """
        self._check_within_end(length)
        self.position += length

    def _check_within_end(self, length: int) -> None:
        """Check that ``length`` more bytes lie before ``end``.

        Raises:
            NotAModelFile: they do not.
        """
        if length > self.bytes_left():
            raise build_refusal(
                "A length in this file exceeds its end: it is truncated or damaged. Upload the complete file again.",
                "truncated file",
            )
