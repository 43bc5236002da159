"""Hashing threads that follow files while they are written, so that a digest is ready a moment after the last byte.

A writer says how far its file is whole, from the first byte on (the frontier); a thread reads behind it, through the
page cache, and hashes. Bytes behind the frontier that will be written again set the digest back to before them.
"""

import os
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modelyard.server.storage.blob_store import Digest
from modelyard.server.storage.digest import Digesting

_PIECE = 1 << 20
_TURN = 16 << 20
_MOST_DIGESTS = 10_000


class Hashers:
    """A fixed number of threads that share all followed files fairly, 16 MiB at a turn, and the digests they made.

    Digests live in memory only: after a restart nobody has read the bytes, and a note from before would be a claim
    about a disk that had time to rot.
    """

    def __init__(self, threads: int = 2) -> None:
        self._waiting: queue.SimpleQueue[Following | None] = queue.SimpleQueue()
        self._is_closed = False
        self._lock = threading.Lock()
        self._of_keys: OrderedDict[str, Following] = OrderedDict()
        self._threads = [threading.Thread(target=self._work, name=f"hash-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def follow(self, path: Path, size: int, step: int) -> "Following":
        """Follow a file that will have ``size`` bytes and is set back, if ever, to a multiple of ``step`` bytes."""
        return Following(path, size, step, self._enqueue)

    def remember(self, key: str, following: "Following | None") -> None:
        """The bytes of this file are published under this key; None forgets what was known of it.

        The oldest of 10,000 is forgotten: then whoever wants to know reads the bytes.
        """
        with self._lock:
            self._of_keys.pop(key, None)
            if following is not None:
                self._of_keys[key] = following
            if len(self._of_keys) > _MOST_DIGESTS:
                self._of_keys.popitem(last=False)

    def of(self, key: str) -> "Following | None":
        """What was remembered of a published key."""
        return self._of_keys.get(key)

    def close(self) -> None:
        """Stop the threads. May be called twice; digests in the making stay unmade."""
        self._is_closed = True
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        # Nobody shall wait for a digest that no thread will make any more.
        while not self._waiting.empty():
            if (following := self._waiting.get()) is not None:
                following.stop()

    def _enqueue(self, following: "Following") -> None:
        if self._is_closed:
            following.stop()
        else:
            self._waiting.put(following)

    def _work(self) -> None:
        buffer = memoryview(bytearray(_PIECE))
        while (following := self._waiting.get()) is not None:
            if following.take_turn(buffer):
                self._enqueue(following)


class Following:
    """One file and the digest of its bytes up to the frontier. Holds no open file between two turns."""

    def __init__(self, path: Path, size: int, step: int, enqueue: "Callable[[Following], None]") -> None:
        self.path = path
        self._size = size
        self._step = step
        self._enqueue = enqueue
        self._changed = threading.Condition()
        self._frontier = 0
        self._position = 0
        # How far a thread may have read already: it is ahead of the position while a piece is being hashed.
        self._reading_to = 0
        self._digesting = Digesting()
        # The state at the last multiple of the step, since the part behind the frontier is the one that breaks.
        self._checkpoint: tuple[int, Digesting] = (0, Digesting())
        self._generation = 0
        self._is_queued = False
        self._is_lost = False
        self._digest = self._digesting.result() if size == 0 else None

    @property
    def digest(self) -> Digest | None:
        """The digest of the whole file, once every byte was read."""
        return self._digest

    def advance(self, frontier: int) -> None:
        """Say that all bytes before ``frontier`` are written."""
        with self._changed:
            self._frontier = max(self._frontier, frontier)
            if not self._is_queued and self._frontier > self._position and not self._is_lost:
                self._is_queued = True
                self._enqueue(self)

    def rewind(self, offset: int) -> None:
        """Say, before it happens, that bytes from ``offset`` (a multiple of the step) on are written again."""
        with self._changed:
            self._frontier = min(self._frontier, offset)
            if self._reading_to <= offset:
                return
            if self._checkpoint[0] > offset:
                self._checkpoint = (0, Digesting())
            self._position, kept = self._checkpoint
            self._digesting = kept.copy()
            self._reading_to = self._position
            self._digest = None
            self._generation += 1

    def stop(self) -> None:
        """Give up; whoever waits gets None, unless the digest is made."""
        with self._changed:
            self._is_lost = True
            self._changed.notify_all()

    def wait(self, timeout_seconds: float) -> Digest | None:
        """The digest, or None if it is not there in time or the file could not be read."""
        with self._changed:
            self._changed.wait_for(lambda: self._digest is not None or self._is_lost, timeout_seconds)
            return self._digest

    @contextmanager
    def moving(self) -> Iterator[None]:
        """No thread opens the file meanwhile: rename it and set ``path``."""
        with self._changed:
            yield

    def take_turn(self, buffer: memoryview) -> bool:
        """Hash up to 16 MiB in the calling thread; whether there is more to do now."""
        try:
            with self._changed:
                descriptor = os.open(self.path, os.O_RDONLY)
            try:
                self._hash_pieces(descriptor, buffer)
            finally:
                os.close(descriptor)
        except OSError:
            # The file is gone or unreadable. No digest is a true answer; the caller reads the bytes itself and sees.
            self.stop()
        with self._changed:
            self._is_queued = self._frontier > self._position and not self._is_lost
            return self._is_queued

    def _hash_pieces(self, descriptor: int, buffer: memoryview) -> None:
        for _ in range(_TURN // _PIECE):
            with self._changed:
                generation, digesting, start = self._generation, self._digesting, self._position
                next_step = (start // self._step + 1) * self._step
                end = min(start + _PIECE, self._frontier, next_step)
                if end <= start or self._is_lost:
                    return
                self._reading_to = end
            count = os.preadv(descriptor, [buffer[: end - start]], start)
            if count == 0:
                raise OSError("The file is shorter than its writer said.")
            digesting.update(buffer[:count])
            with self._changed:
                # After a rewind these bytes may be half old, half new; the digest that took them is nobody's any more.
                if generation == self._generation:
                    self._reached(start + count)

    def _reached(self, position: int) -> None:
        self._position = self._reading_to = position
        if position == self._size:
            self._digest = self._digesting.result()
            self._changed.notify_all()
        elif position % self._step == 0:
            self._checkpoint = (position, self._digesting.copy())
