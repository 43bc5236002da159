"""SHA-256 and BLAKE3 of the same bytes, in one pass: behind a writer, or as fast as a store gives what it holds."""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from blake3 import blake3
from typing_extensions import Buffer

from modelyard.server.storage.blob_store import BlobStore, Digest, StoreUnavailable

# A store gives one stretch at a time slower than a core hashes; this many at once, and no more of them in memory.
# Smaller ones stay in the processor's cache until they are hashed; larger ones cost fewer requests.
STRETCH = 4 << 20
READERS = 6


class Digesting:
    """A digest in the making. Large pieces release the interpreter lock, so use it in a thread."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._blake3 = blake3()

    def update(self, piece: Buffer) -> None:
        """Take the next bytes."""
        self._sha256.update(piece)
        self._blake3.update(piece)

    def update_beside(self, pieces: Iterable[Buffer], thread: ThreadPoolExecutor) -> None:
        """Take the next pieces, one of the two in ``thread``."""
        beside = thread.submit(lambda: [self._blake3.update(piece) for piece in pieces])
        for piece in pieces:
            self._sha256.update(piece)
        beside.result()

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


class Reading:
    """One version of one object, read from its first byte to its last. ``count`` grows while it is read."""

    def __init__(self, store: BlobStore, key: str, size: int, version: str | None) -> None:
        self._store = store
        self._key, self._size, self._version = key, size, version
        self._stopped = threading.Event()
        self._counting = threading.Lock()
        self.count = 0

    def stop(self) -> None:
        """End before the next piece, from any thread; the reading raises ``Stopped``."""
        self._stopped.set()

    def digest(self, pace: Callable[[int], None] = lambda _: None) -> Digest:
        """The digest of the whole object; ``pace`` hears of every stretch before it is read, and may take its time.

        Raises:
            NoSuchKey, OtherVersion
            StoreUnavailable: also when the store gave fewer bytes than the object has.
            Stopped
        """
        stretches = deque(range(0, self._size, STRETCH))
        digesting = Digesting()
        if len(stretches) < 2:
            for start in stretches:
                pace(self._size)
                digesting.update(b"".join(self._stretch(start)))
            return digesting.result()
        with ThreadPoolExecutor(READERS, "read") as readers, ThreadPoolExecutor(1, "blake3") as beside:
            coming = deque[Future[list[bytes]]]()
            try:
                while stretches or coming:
                    while stretches and len(coming) < READERS:
                        pace(min(STRETCH, self._size - stretches[0]))
                        coming.append(readers.submit(self._stretch, stretches.popleft()))
                    digesting.update_beside(coming.popleft().result(), beside)
            except BaseException:
                self.stop()
                raise
        return digesting.result()

    def _stretch(self, start: int) -> list[bytes]:
        length = min(STRETCH, self._size - start)
        pieces = []
        for piece in self._store.read(self._key, start, length, self._version):
            if self._stopped.is_set():
                raise Stopped("The reading was stopped.")
            pieces.append(piece)
            with self._counting:
                self.count += len(piece)
        if sum(map(len, pieces)) != length:
            raise StoreUnavailable("The store gave fewer bytes than the object has.")
        return pieces


class Stopped(Exception):
    """A reading was told to end."""
