"""Thread limits for operations and for authentication: one account's requests leave threads to others."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from modelyard.server.http.execution.threads import OperationThreads
from modelyard.wire.problems import Unavailable

# Before a credential is checked, its text is the account. Threads wait for the interpreter's lock in no order: with 40
# that check one caller's burst, another caller's request takes 100 ms (bench/neighbours).
AUTHENTICATION_THREADS = 16
AUTHENTICATION_THREADS_PER_CREDENTIAL = 2
# Writers that wait for the database take none of the readers' threads.
READ_THREADS = 24
# With three, expensive searches of a team take both cores of a small machine from others (bench/neighbours).
READ_THREADS_PER_ACCOUNT = 2
WRITE_THREADS = 32
WRITE_THREADS_PER_ACCOUNT = 12
# SQLite has one writer at a time: with a third thread, a team's registrations are slower and so are others' requests.
WRITE_THREADS_PER_ACCOUNT_ON_SQLITE = 2
# Registrations use mostly the processor: with more, a burst of them delays other teams (bench/neighbours).
REGISTRATION_THREADS_PER_ACCOUNT = 2
MAX_QUEUED_PER_ACCOUNT = 500
# Equal to the time that a writer waits for the database's lock.
QUEUE_SECONDS = 10.0

_BUSY_WITH_CHANGES = "The registry is busy with other changes. Try again."

Result = TypeVar("Result")
# A team or a user, or an unverified credential; None for requests without a caller: signing in, pairing.
Account = UUID | str | None


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
        self._operation_threads = OperationThreads()
        self._queue: deque[tuple[Account, asyncio.Future[None]]] = deque()

    async def run(self, account: Account, operation: Callable[[], Result]) -> Result:
        """Run an operation in a thread, after waiting if too many are running.

        Raises:
            Unavailable: no thread became free in time, or too many requests of the account are waiting.
        """
        if self._has_free_slot(account):
            self._running[account] += 1
        else:
            await self._wait_for_slot(account)
        try:
            return await self._operation_threads.run(operation)
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
            if not self._queued[account]:
                del self._queued[account]
        if granted.cancel():
            raise self._build_busy_problem()

    def _release_slot(self, account: Account) -> None:
        """Release a thread, which waiting requests may get."""
        self._running[account] -= 1
        if not self._running[account]:
            # An account without requests takes no memory.
            del self._running[account]
        if self._queue:
            self._grant_slots()

    def _grant_slots(self) -> None:
        """Give free threads to waiting requests in the order of their arrival."""
        waiting, self._queue = self._queue, deque()
        for waiting_account, granted in waiting:
            if granted.done():
                continue
            if self._has_free_slot(waiting_account):
                self._running[waiting_account] += 1
                granted.set_result(None)
            else:
                self._queue.append((waiting_account, granted))

    def _build_busy_problem(self) -> Unavailable:
        """Build the problem of a request that gets no thread; it may be repeated after 2 seconds."""
        return Unavailable(self._busy, retry_after=2)


def build_authentication_limiter() -> OperationLimiter:
    """Build the limiter of authentication, whose accounts are the credentials as sent."""
    return OperationLimiter(threads=AUTHENTICATION_THREADS, per_account=AUTHENTICATION_THREADS_PER_CREDENTIAL)


def build_read_limiter() -> OperationLimiter:
    """Build the limiter of reading operations."""
    return OperationLimiter(threads=READ_THREADS, per_account=READ_THREADS_PER_ACCOUNT)


def build_write_limiter(*, has_one_writer: bool) -> OperationLimiter:
    """Build the limiter of writing operations; ``has_one_writer``: the database has one writer at a time, as SQLite."""
    per_account = WRITE_THREADS_PER_ACCOUNT_ON_SQLITE if has_one_writer else WRITE_THREADS_PER_ACCOUNT
    return OperationLimiter(threads=WRITE_THREADS, per_account=per_account, busy=_BUSY_WITH_CHANGES)


def build_registration_limiter() -> OperationLimiter:
    """Build the limiter of operations that register models."""
    return OperationLimiter(
        threads=WRITE_THREADS, per_account=REGISTRATION_THREADS_PER_ACCOUNT, busy=_BUSY_WITH_CHANGES
    )
