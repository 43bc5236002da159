"""A cache for expensive results of public endpoints."""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

KEEP_SECONDS = 1.0

Result = TypeVar("Result")


class CachedResult(Generic[Result]):
    """The result of a function, at most ``keep_seconds`` old. It belongs to one event loop."""

    def __init__(self, compute: Callable[[], Result], keep_seconds: float = KEEP_SECONDS) -> None:
        self._compute, self._keep_seconds = compute, keep_seconds
        self._kept: tuple[float, Result] | None = None
        self._computing: asyncio.Task[Result] | None = None

    async def get(self) -> Result:
        """Return the cached result, or compute it in a thread; concurrent callers share one computation.

        An exception of the function is raised in all of them and not cached.
        """
        if self._kept is not None and time.monotonic() < self._kept[0]:
            return self._kept[1]
        if self._computing is None:
            self._computing = asyncio.create_task(self._renew())
        return await asyncio.shield(self._computing)

    async def _renew(self) -> Result:
        """Compute the result in a thread of its own and cache it; an exception is raised and not cached."""
        try:
            # Its own limiter: other requests may have all threads of the default one.
            result = await anyio.to_thread.run_sync(self._compute, limiter=anyio.CapacityLimiter(1))
            self._kept = (time.monotonic() + self._keep_seconds, result)
            return result
        finally:
            self._computing = None
