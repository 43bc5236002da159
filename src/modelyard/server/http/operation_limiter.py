"""Thread limits for operations, per account: one account's requests leave threads to others."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID

import anyio
import anyio.to_thread

from modelyard.wire.problems import Unavailable

# Credentials are checked in the 40 threads of anyio's default limiter; these are others. Writers that wait for the
# database take none of the readers' threads.
READ_THREADS = 24
# With three, expensive searches of a team take both cores of a small machine from others (tests/noisy_neighbours).
READ_THREADS_PER_ACCOUNT = 2
# SQLite reads on the server's own processors: with more at a time, slow searches of a team slow all others down.
READ_THREADS_PER_ACCOUNT_ON_SQLITE = 2
WRITE_THREADS = 32
WRITE_THREADS_PER_ACCOUNT = 12
# SQLite has one writer at a time, and its lock is not fair: more threads of one team only keep others waiting.
WRITE_THREADS_PER_ACCOUNT_ON_SQLITE = 3
MAX_QUEUED_PER_ACCOUNT = 500
# Equal to the time that a writer waits for the database's lock.
QUEUE_SECONDS = 10.0

Result = TypeVar("Result")
# A team or a user, or None for requests without a caller: signing in, pairing.
Account = UUID | None


class OperationLimiter:
    """Runs operations in a limited number of threads; further ones wait without a thread. Belongs to one event loop.

    ``busy`` is the message of the problem when a request has waited too long.
    """

    def __init__(
        self,
        *,
        threads: int,
        per_account: int,
        busy: str = "The registry is busy with other requests. Try again.",
        queued_per_account: int = MAX_QUEUED_PER_ACCOUNT,
        queue_seconds: float = QUEUE_SECONDS,
    ) -> None:
        self._threads, self._per_account, self._queued_per_account = threads, per_account, queued_per_account
        self._busy, self._queue_seconds = busy, queue_seconds
        self._running = Counter[Account]()
        self._queued = Counter[Account]()
        self._queue: deque[tuple[Account, asyncio.Future[None]]] = deque()

    async def run(self, account: Account, operation: Callable[[], Result]) -> Result:
        """Run an operation in a thread, after waiting if too many are running.

        Raises:
            Unavailable: no thread became free in time, or too many requests of the account are waiting.
        """
        async with self._hold_slot(account):
            # A limiter of its own that is never full: the slot is the limit.
            return await anyio.to_thread.run_sync(operation, limiter=anyio.CapacityLimiter(1))

    @asynccontextmanager
    async def _hold_slot(self, account: Account) -> AsyncIterator[None]:
        """Hold a thread of the account while the block runs; wait for one first if needed."""
        if self._has_free_slot(account):
            self._running[account] += 1
        else:
            await self._wait_for_slot(account)
        try:
            yield
        finally:
            self._release_slot(account)

    def _has_free_slot(self, account: Account) -> bool:
        """Return whether a thread is free for one more operation of the account now; the queue does not count."""
        return self._running.total() < self._threads and self._running[account] < self._per_account

    async def _wait_for_slot(self, account: Account) -> None:
        """Wait in the queue until a thread is granted, which is then counted as running.

        Raises:
            Unavailable: the account has too many waiting requests, or the wait took longer than ``queue_seconds``.
        """
        if self._queued[account] >= self._queued_per_account:
            raise self._build_busy_problem()
        granted = asyncio.get_running_loop().create_future()
        self._queue.append((account, granted))
        self._queued[account] += 1
        try:
            await asyncio.wait({granted}, timeout=self._queue_seconds)
        except asyncio.CancelledError:
            if not granted.cancel():
                self._release_slot(account)
            raise
        finally:
            self._queued[account] -= 1
        if granted.cancel():
            raise self._build_busy_problem()

    def _release_slot(self, account: Account) -> None:
        """Release a thread, and give free threads to waiting requests in the order of their arrival."""
        self._running[account] -= 1
        waiting, self._queue = self._queue, deque()
        for waiting_account, granted in waiting:
            if granted.done():
                continue
            if self._has_free_slot(waiting_account):
                self._running[waiting_account] += 1
                granted.set_result(None)
            else:
                self._queue.append((waiting_account, granted))
        # An account without requests takes no memory.
        self._running += Counter()
        self._queued += Counter()

    def _build_busy_problem(self) -> Unavailable:
        """Build the problem of a request that gets no thread; it may be repeated after 2 seconds."""
        return Unavailable(self._busy, retry_after=2)


def build_read_limiter(*, is_local: bool) -> OperationLimiter:
    """Build the limiter of reading operations; ``is_local``: the database runs in this process, as SQLite does."""
    per_account = READ_THREADS_PER_ACCOUNT_ON_SQLITE if is_local else READ_THREADS_PER_ACCOUNT
    return OperationLimiter(threads=READ_THREADS, per_account=per_account)


def build_write_limiter(*, has_one_writer: bool) -> OperationLimiter:
    """Build the limiter of writing operations; ``has_one_writer``: the database has one writer at a time, as SQLite."""
    per_account = WRITE_THREADS_PER_ACCOUNT_ON_SQLITE if has_one_writer else WRITE_THREADS_PER_ACCOUNT
    busy = "The registry is busy with other changes. Try again."
    return OperationLimiter(threads=WRITE_THREADS, per_account=per_account, busy=busy)
