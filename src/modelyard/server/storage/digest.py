"""SHA-256 and BLAKE3 of the same bytes, in one pass."""

import hashlib
from collections.abc import Iterable
from typing import Self

from blake3 import blake3
from typing_extensions import Buffer

from modelyard.server.storage.blob_store import Digest


class Digesting:
    """A digest in the making. Large pieces release the interpreter lock, so use it in a thread."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._blake3 = blake3()

    def update(self, piece: Buffer) -> None:
        """Take the next bytes."""
        self._sha256.update(piece)
        self._blake3.update(piece)

    def copy(self) -> Self:
        """A second digest that has seen the same bytes and goes its own way."""
        twin = type(self)()
        twin._sha256 = self._sha256.copy()
        twin._blake3 = self._blake3.copy()
        return twin

    def result(self) -> Digest:
        """The digest of all bytes so far."""
        return Digest(self._sha256.hexdigest(), self._blake3.hexdigest())


def digest_of(pieces: Iterable[Buffer]) -> Digest:
    """The digest of all pieces, one after the other."""
    digesting = Digesting()
    for piece in pieces:
        digesting.update(piece)
    return digesting.result()
