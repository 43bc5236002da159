"""Hashes by which other tools name model files, see ``wire.hashes``: of parts of a file, and CRC-32."""

import hashlib
import zlib
from dataclasses import dataclass

from typing_extensions import Buffer

from modelyard.comfyui.model_files.readers import Reader
from modelyard.server.inspection.safetensors import find_data_start

AUTOV1_START, AUTOV1_LENGTH, AUTOV1_DIGITS = 0x100000, 0x10000, 8
# The header length of a safetensors file and the brace after it.
_HEAD_LENGTH = 9


@dataclass(frozen=True)
class ContentHashes:
    """All hashes of one file but BLAKE3.

    ``autov1`` is None for files of at most 1 MiB, ``autov3`` for other formats than safetensors.
    """

    sha256: str
    autov1: str | None
    autov3: str | None
    crc32: str


def compute_autov1(content: Reader) -> str | None:
    """Return the AutoV1 of a file, read as one range; None if it has at most 1 MiB, where the range begins.

    Errors of the store pass through.
    """
    if content.size <= AUTOV1_START:
        return None
    return hashlib.sha256(content.read(AUTOV1_START, AUTOV1_LENGTH)).hexdigest()[:AUTOV1_DIGITS]


class ContentHasher:
    """The hashes of a file in progress. Large pieces release the interpreter lock."""

    def __init__(self) -> None:
        self._position = 0
        self._data_start: int | None = None
        self._sha256, self._autov1, self._autov3 = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        self._crc32 = 0

    def update(self, piece: bytes) -> None:
        """Hash the next bytes; the first piece has at least 9, unless the file is shorter."""
        if self._position == 0:
            self._data_start = find_data_start(piece[:_HEAD_LENGTH])
        end = self._position + len(piece)
        self._sha256.update(piece)
        self._crc32 = zlib.crc32(piece, self._crc32)
        self._autov1.update(self._slice(piece, AUTOV1_START, AUTOV1_START + AUTOV1_LENGTH))
        if self._data_start is not None:
            self._autov3.update(self._slice(piece, self._data_start, end))
        self._position = end

    def build_hashes(self) -> ContentHashes:
        """Return the hashes of all bytes so far."""
        return ContentHashes(
            sha256=self._sha256.hexdigest(),
            autov1=self._autov1.hexdigest()[:AUTOV1_DIGITS] if self._position > AUTOV1_START else None,
            autov3=None if self._data_start is None else self._autov3.hexdigest(),
            crc32=f"{self._crc32:08x}",
        )

    def _slice(self, piece: bytes, start: int, end: int) -> Buffer:
        """Return the part of the next piece that lies between two offsets of the file."""
        return memoryview(piece)[max(start - self._position, 0) : max(end - self._position, 0)]
