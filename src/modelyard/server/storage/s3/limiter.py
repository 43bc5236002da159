"""The limit on this process's concurrent calls to the bucket.

A bucket that stalls holds every calling thread until its timeout. Calls beyond the limit fail at once, so that the
remaining threads can serve requests that need no bucket.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from modelyard.server.storage.blob_store import StoreUnavailable

# The web framework has 40 threads for all routes.
MAX_CALLS = 24
_ACQUIRE_TIMEOUT_SECONDS = 0.25


class RequestLimiter:
    """A limit on the number of concurrent calls."""

    def __init__(self, max_calls: int = MAX_CALLS) -> None:
        self._free = threading.BoundedSemaphore(max_calls)
        self._max_calls = max_calls

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Hold one of the calls for the duration of the context.

        Raises:
            StoreUnavailable: all calls stay in use for 0.25 seconds, so the bucket is slow.
        """
        if not self._free.acquire(timeout=_ACQUIRE_TIMEOUT_SECONDS):
            raise StoreUnavailable(f"The bucket is slow: {self._max_calls} requests are waiting for it.", code="Slow")
        try:
            yield
        finally:
            self._free.release()
