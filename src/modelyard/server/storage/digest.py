"""SHA-256 and BLAKE3 of the same bytes in one pass, for bytes that are being written and for stored objects."""

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from blake3 import blake3
from typing_extensions import Buffer

from modelyard.server.storage.blob_store import BlobStore, Digest, StoreUnavailable

# One range at a time arrives slower than a core hashes. So many are read at once, and at most so many are in memory.
# A smaller range stays in the processor's cache until it is hashed; a larger one costs fewer requests.
RANGE_BYTES = 4 << 20
READER_THREADS = 6


class DualHasher:
    """A SHA-256 and a BLAKE3 in progress. Large pieces release the interpreter lock, so use it in a thread."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._blake3 = blake3()

    def update(self, piece: Buffer) -> None:
        """Add the next bytes to both hashes."""
        self._sha256.update(piece)
        self._blake3.update(piece)

    def update_in_parallel(self, pieces: Sequence[Buffer], thread: ThreadPoolExecutor) -> None:
        """Hash the next pieces, with BLAKE3 running in ``thread``. Returns when both digests have taken them."""
        blake3_done = thread.submit(lambda: [self._blake3.update(piece) for piece in pieces])
        for piece in pieces:
            self._sha256.update(piece)
        blake3_done.result()

    def copy(self) -> Self:
        """Return an independent hasher with the same state."""
        duplicate = type(self)()
        duplicate._sha256 = self._sha256.copy()
        duplicate._blake3 = self._blake3.copy()
        return duplicate

    def build_digest(self) -> Digest:
        """Return the digest of all bytes so far; more bytes may follow."""
        return Digest(self._sha256.hexdigest(), self._blake3.hexdigest())


def compute_digest(pieces: Iterable[Buffer]) -> Digest:
    """Return the digest of all pieces, one after the other."""
    hasher = DualHasher()
    for piece in pieces:
        hasher.update(piece)
    return hasher.build_digest()


class ObjectHasher:
    """The full read of one version of one object; ``bytes_read`` grows while it runs."""

    def __init__(self, store: BlobStore, key: str, size: int, version: str | None) -> None:
        self._store = store
        self._key, self._size, self._version = key, size, version
        self._stopped = threading.Event()
        self._count_lock = threading.Lock()
        self.bytes_read = 0

    def stop(self) -> None:
        """Stop before the next piece, from any thread; ``compute_digest`` then raises ``ReadStopped``."""
        self._stopped.set()

    def raise_if_stopped(self) -> None:
        """Raise ``ReadStopped`` if ``stop`` was called, for work on the bytes other than reading them."""
        if self._stopped.is_set():
            raise ReadStopped("The read was stopped.")

    def compute_digest(self, on_range: Callable[[int], None] = lambda _: None) -> Digest:
        """Read the whole object and return its digest, with several ranges read in parallel. Call it once.

        ``on_range`` is called in this thread with the length of each range before it is read, and may block to limit
        the read rate.

        Raises:
            NoSuchKey, VersionChanged
            StoreUnavailable: also when the store returned fewer bytes than the object has.
            ReadStopped: ``stop`` was called.
        """
        hasher = DualHasher()
        with ThreadPoolExecutor(1, "blake3") as blake3_thread:
            for pieces in self.iterate_ranges(on_range):
                if self._size <= RANGE_BYTES:
                    hasher.update(b"".join(pieces))
                else:
                    hasher.update_in_parallel(pieces, blake3_thread)
        return hasher.build_digest()

    def iterate_ranges(self, on_range: Callable[[int], None] = lambda _: None) -> Iterator[list[bytes]]:
        """Yield the pieces of each range of the object in order, reading the next ranges meanwhile. Call it once.

        Raises as ``compute_digest``, which explains ``on_range``.
        """
        starts = deque(range(0, self._size, RANGE_BYTES))
        if len(starts) < 2:
            for start in starts:
                on_range(self._size)
                yield self._read_range(start)
            return
        with ThreadPoolExecutor(READER_THREADS, "read") as readers:
            pending = deque[Future[list[bytes]]]()
            try:
                while starts or pending:
                    while starts and len(pending) < READER_THREADS:
                        on_range(min(RANGE_BYTES, self._size - starts[0]))
                        pending.append(readers.submit(self._read_range, starts.popleft()))
                    yield pending.popleft().result()
            except BaseException:
                self.stop()
                raise

    def _read_range(self, start: int) -> list[bytes]:
        """Read the range from ``start``, of at most ``RANGE_BYTES``, and count its bytes in ``bytes_read``.

        Raises:
            StoreUnavailable: also when the store returned fewer bytes than the range has.
            ReadStopped: ``stop`` was called.
        """
        length = min(RANGE_BYTES, self._size - start)
        pieces = []
        for piece in self._store.read(self._key, start, length, self._version):
            self.raise_if_stopped()
            pieces.append(piece)
            with self._count_lock:
                self.bytes_read += len(piece)
        if sum(map(len, pieces)) != length:
            raise StoreUnavailable("The store returned fewer bytes than the object has.")
        return pieces


class ReadStopped(Exception):
    """A read of an object was stopped before its end."""
