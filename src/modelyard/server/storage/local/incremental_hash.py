"""Threads that hash files while they are written, so that a digest is ready a moment after the last byte.

A writer reports up to which byte its file is complete (the frontier). A thread reads behind the frontier, through the
page cache, and hashes. When bytes behind the frontier are written again, the hash is reset to before them.
"""

import os
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modelyard.server.storage.blob_store import Digest
from modelyard.server.storage.digest import DualHasher

_PIECE = 1 << 20
_SLICE = 16 << 20
_MAX_DIGESTS = 10_000


class HashThreads:
    """A fixed number of threads that hash all files being written, 16 MiB at a time each, and the resulting digests.

    Digests are kept in memory only. After a restart this process has not read the bytes, and a digest on disk would not
    show whether they have changed since.
    """

    def __init__(self, threads: int = 2) -> None:
        self._queue: queue.SimpleQueue[IncrementalHash | None] = queue.SimpleQueue()
        self._is_closed = False
        self._lock = threading.Lock()
        self._published: OrderedDict[str, IncrementalHash] = OrderedDict()
        self._threads = [threading.Thread(target=self._work, name=f"hash-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def start_hash(self, path: Path, size: int, step: int) -> "IncrementalHash":
        """Return the incremental hash of a file of ``size`` bytes; it can be reset to multiples of ``step`` bytes."""
        return IncrementalHash(path, size, step, self._enqueue)

    def set_hash(self, key: str, incremental_hash: "IncrementalHash | None") -> None:
        """Associate a published key with the hash of its file; None drops the association.

        Beyond 10,000 keys the oldest is dropped; its digest is then computed by reading the bytes.
        """
        with self._lock:
            self._published.pop(key, None)
            if incremental_hash is not None:
                self._published[key] = incremental_hash
            if len(self._published) > _MAX_DIGESTS:
                self._published.popitem(last=False)

    def find_hash(self, key: str) -> "IncrementalHash | None":
        """Return the hash of a published key, or None if this process has none."""
        return self._published.get(key)

    def close(self) -> None:
        """Stop the threads, wait for them, and stop every hash in progress; complete digests stay. Idempotent."""
        self._is_closed = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        # No caller may wait for a digest that no thread will compute any more.
        while not self._queue.empty():
            if (incremental_hash := self._queue.get()) is not None:
                incremental_hash.stop()

    def _enqueue(self, incremental_hash: "IncrementalHash") -> None:
        """Queue a hash for its next slice, or stop it if the threads are closed."""
        if self._is_closed:
            incremental_hash.stop()
        else:
            self._queue.put(incremental_hash)

    def _work(self) -> None:
        """Hash slices from the queue until the threads are closed."""
        buffer = memoryview(bytearray(_PIECE))
        while (incremental_hash := self._queue.get()) is not None:
            if incremental_hash.hash_slice(buffer):
                self._enqueue(incremental_hash)


class IncrementalHash:
    """The hash of one file up to the frontier. Holds no open file between two slices."""

    def __init__(self, path: Path, size: int, step: int, enqueue: "Callable[[IncrementalHash], None]") -> None:
        self.path = path
        self._size = size
        self._step = step
        self._enqueue = enqueue
        self._changed = threading.Condition()
        self._frontier = 0
        self._position = 0
        # The end of the piece that is being read: it is ahead of the position while a piece is being hashed.
        self._reading_to = 0
        self._hasher = DualHasher()
        # The state at the last multiple of the step, since the part at the frontier is the one that may be sent again.
        self._checkpoint: tuple[int, DualHasher] = (0, DualHasher())
        self._rewinds = 0
        self._is_queued = False
        self._is_stopped = False
        self._digest = self._hasher.build_digest() if size == 0 else None

    @property
    def digest(self) -> Digest | None:
        """Return the digest of the whole file, or None while bytes are missing."""
        return self._digest

    def advance(self, frontier: int) -> None:
        """Report that all bytes before ``frontier`` are written; a smaller one than before changes nothing."""
        with self._changed:
            self._frontier = max(self._frontier, frontier)
            if not self._is_queued and self._frontier > self._position and not self._is_stopped:
                self._is_queued = True
                self._enqueue(self)

    def rewind(self, offset: int) -> None:
        """Report, before it happens, that bytes from ``offset`` (a multiple of the step) on will be written again.

        If some of them were hashed, the hash continues from the last checkpoint, or from 0 if that is beyond
        ``offset``; the digest is None until then.
        """
        with self._changed:
            self._frontier = min(self._frontier, offset)
            if self._reading_to <= offset:
                return
            if self._checkpoint[0] > offset:
                self._checkpoint = (0, DualHasher())
            self._position, kept = self._checkpoint
            self._hasher = kept.copy()
            self._reading_to = self._position
            self._digest = None
            self._rewinds += 1

    def resize(self, size: int) -> None:
        """Set the size of the file, at which the digest is published; a digest of another size is dropped."""
        with self._changed:
            self._size = size
            self._digest = self._hasher.build_digest() if self._position == size else None
            self._changed.notify_all()

    def stop(self) -> None:
        """Stop hashing for good; waiting callers get None unless the digest is complete. Idempotent."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def wait_for_digest(self, timeout_seconds: float) -> Digest | None:
        """Return the digest; None if it is not ready within the timeout, was stopped, or the file could not be read."""
        with self._changed:
            self._changed.wait_for(lambda: self._digest is not None or self._is_stopped, timeout_seconds)
            return self._digest

    @contextmanager
    def paused_for_rename(self) -> Iterator[None]:
        """Keep the threads from opening the file, so that the caller can rename it and set ``path``."""
        with self._changed:
            yield

    def hash_slice(self, buffer: memoryview) -> bool:
        """Hash up to 16 MiB in the calling thread, through ``buffer`` of 1 MiB; an unreadable file stops the hash.

        Returns True if more bytes can be hashed now: the caller must queue it again.
        """
        try:
            with self._changed:
                descriptor = os.open(self.path, os.O_RDONLY)
            try:
                self._hash_pieces(descriptor, buffer)
            finally:
                os.close(descriptor)
        except OSError:
            # The file was deleted or is unreadable. The caller gets no digest, and an error when it reads the bytes.
            self.stop()
        with self._changed:
            self._is_queued = self._frontier > self._position and not self._is_stopped
            return self._is_queued

    def _hash_pieces(self, descriptor: int, buffer: memoryview) -> None:
        """Hash pieces up to the end of the slice or the frontier; a rewind discards the piece in progress.

        Raises:
            OSError: the file is unreadable, or shorter than its writer reported.
        """
        for _ in range(_SLICE // _PIECE):
            with self._changed:
                generation, hasher, start = self._rewinds, self._hasher, self._position
                next_step = (start // self._step + 1) * self._step
                end = min(start + _PIECE, self._frontier, next_step)
                if end <= start or self._is_stopped:
                    return
                self._reading_to = end
            count = os.preadv(descriptor, [buffer[: end - start]], start)
            if count == 0:
                raise OSError("The file is shorter than its writer reported.")
            hasher.update(buffer[:count])
            with self._changed:
                # After a rewind these bytes may be half old, half new; their hasher has been replaced.
                if generation == self._rewinds:
                    self._record_position(start + count)

    def _record_position(self, position: int) -> None:
        """Record how far the file is hashed; at its end, publish the digest. The caller holds the lock.

        At each multiple of the step, keep a copy of the hasher in memory for ``rewind``.
        """
        self._position = self._reading_to = position
        if position == self._size:
            self._digest = self._hasher.build_digest()
            self._changed.notify_all()
        elif position % self._step == 0:
            self._checkpoint = (position, self._hasher.copy())
