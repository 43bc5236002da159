"""How many of this process's threads may wait for the bucket at once.

A bucket that stalls holds every thread that asks it something for as long as the limits allow. Beyond so many they are
told at once, and the threads that are left answer what needs no bucket.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from modelyard.server.storage.blob_store import StoreUnavailable

# The web framework has 40 threads for all routes.
MOST_WAITING = 24
_PATIENCE_SECONDS = 0.25


class Gate:
    """Lets a number of threads in at once."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._free = threading.BoundedSemaphore(most)
        self._most = most

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be one of those inside.

        Raises:
            StoreUnavailable: it stays full for a moment, so the bucket is slow.
        """
        if not self._free.acquire(timeout=_PATIENCE_SECONDS):
            raise StoreUnavailable(f"The bucket is slow: {self._most} requests wait for it already.", code="Slow")
        try:
            yield
        finally:
            self._free.release()
