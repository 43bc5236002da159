"""Thread limits for operations: requests of one person or team leave threads to others."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.places import Entry, Places
from modelyard.server.fairness.usage import Limits
from modelyard.server.http.execution.threads import OperationThreads
from modelyard.wire.problems import Unavailable

# Writers that wait for the database take none of the readers' threads.
# With three, expensive searches of a team take both cores of a small machine from others (bench/neighbours).
READ_THREADS = Limits(24, per_person=2, per_team=2)
WRITE_THREADS = Limits(32, per_person=12, per_team=12)
# SQLite has one writer at a time: with a third thread, a team's registrations are slower and so are others' requests.
WRITE_THREADS_ON_SQLITE = Limits(32, per_person=2, per_team=2)
# Registrations use mostly the processor: with more, a burst of them delays other teams (bench/neighbours).
REGISTRATION_THREADS = Limits(32, per_person=2, per_team=2)
# Heartbeats of many changes use mostly the processor, too; those of one team wait for each other's writes in any case.
HEARTBEAT_THREADS = Limits(32, per_person=2, per_team=1)
QUEUE = Limits(20_000, per_person=500, per_team=1_000)
# Equal to the time that a writer waits for the database's lock.
QUEUE_SECONDS = 10.0

_BUSY = "The registry is busy with other requests. Try again."
_BUSY_WITH_CHANGES = "The registry is busy with other changes. Try again."

Result = TypeVar("Result")


class OperationLimiter:
    """Runs operations in a limited number of threads; further ones wait without a thread. Belongs to one event loop.

    ``busy`` is the message of the problem when a request has waited too long.
    """

    def __init__(
        self, threads: Limits, *, busy: str = _BUSY, queue: Limits = QUEUE, queue_seconds: float = QUEUE_SECONDS
    ) -> None:
        self.places = Places(threads, queue)
        self._busy, self._queue_seconds = busy, queue_seconds
        self._operation_threads = OperationThreads()

    async def run(self, account: Account, operation: Callable[[], Result]) -> Result:
        """Run an operation in a thread, after waiting if too many are running.

        Raises:
            Unavailable: no thread became free in time, or too many requests of the account are waiting.
        """
        entry = await self._enter(account)
        try:
            return await self._operation_threads.run(operation)
        finally:
            self.places.leave(entry)

    async def _enter(self, account: Account) -> Entry:
        """Wait until an operation may have a thread, and return its entry, which the caller has to give up.

        Raises:
            Unavailable: the account has too many waiting requests, or the wait took longer than ``queue_seconds``.
        """
        granted = asyncio.get_running_loop().create_future()
        entry = self.places.enter(account, lambda: granted.set_result(None))
        if entry is None:
            raise self._build_busy_problem()
        if entry.has_place():
            return entry
        try:
            await asyncio.wait({granted}, timeout=self._queue_seconds)
        except asyncio.CancelledError:
            self.places.leave(entry)
            raise
        if not entry.has_place():
            self.places.leave(entry)
            raise self._build_busy_problem()
        return entry

    def _build_busy_problem(self) -> Unavailable:
        """Build the problem of a request that gets no thread; it may be repeated after 2 seconds."""
        return Unavailable(self._busy, retry_after=2)


def build_read_limiter() -> OperationLimiter:
    """Build the limiter of reading operations."""
    return OperationLimiter(READ_THREADS)


def build_write_limiter(*, has_one_writer: bool) -> OperationLimiter:
    """Build the limiter of writing operations; ``has_one_writer``: the database has one writer at a time, as SQLite."""
    return OperationLimiter(WRITE_THREADS_ON_SQLITE if has_one_writer else WRITE_THREADS, busy=_BUSY_WITH_CHANGES)


def build_registration_limiter() -> OperationLimiter:
    """Build the limiter of operations that register models."""
    return OperationLimiter(REGISTRATION_THREADS, busy=_BUSY_WITH_CHANGES)


def build_heartbeat_limiter() -> OperationLimiter:
    """Build the limiter of operations that record heartbeats."""
    return OperationLimiter(HEARTBEAT_THREADS, busy=_BUSY_WITH_CHANGES)
