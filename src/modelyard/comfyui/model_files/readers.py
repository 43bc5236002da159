"""Random access to the bytes of a file, wherever it is."""

from dataclasses import dataclass
from typing import Protocol

from modelyard.comfyui.model_files.refusals import build_refusal


class Reader(Protocol):
    """Random access to the bytes of a file in a store.

    ``read`` returns fewer bytes only at the end of the file, and may raise the store's own errors, which pass through.
    """

    @property
    def size(self) -> int: ...

    def read(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``; fewer only at the end of the file."""
        ...


@dataclass(frozen=True)
class BytesReader:
    """A ``Reader`` of bytes in memory."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``."""
        return self.content[start : start + length]


def read_exactly(reader: Reader, start: int, length: int) -> bytes:
    """Return exactly ``length`` bytes.

    Raises:
        NotAModelFile: the file ends before them.
    """
    chunk = reader.read(start, length)
    if len(chunk) != length:
        raise build_refusal("This file ends early: it is truncated. Upload the complete file again.", "truncated file")
    return chunk
