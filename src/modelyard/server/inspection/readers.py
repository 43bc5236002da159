"""Bounded reads of byte ranges of a file, from any store."""

from modelyard.comfyui.model_files.readers import Reader


class TooExpensive(Exception):
    """The inspection would have read at least ``needed`` bytes by now, more than the limit of its reader."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"It needs {needed} bytes.")
        self.needed = needed


class LimitedReader:
    """A reader that returns at most ``max_bytes`` in all, which bounds the processor time that an inspection costs.

    Raises:
        TooExpensive: by ``read``, before it reads beyond the limit.
    """

    def __init__(self, reader: Reader, max_bytes: int) -> None:
        self._reader = reader
        self._max_bytes = max_bytes
        self._bytes_read = 0
        self.size = reader.size

    def read(self, start: int, length: int) -> bytes:
        """Read as ``Reader.read``, unless that would exceed the limit; bytes that are read again count again.

        Raises:
            TooExpensive: the limit is exceeded.
        """
        self._bytes_read += max(0, min(length, self.size - start))
        if self._bytes_read > self._max_bytes:
            raise TooExpensive(self._bytes_read)
        return self._reader.read(start, length)
