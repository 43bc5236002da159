"""The limit on concurrent writing transactions of one process, shared fairly between teams."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from modelyard.wire.problems import Unavailable


class WriterLimit:
    """A limit on the number of threads with a writing transaction, and on how long the others wait.

    Of the waiting teams, the one that was served longest ago comes next, so a team with many waiting writers delays
    another team by a single transaction.
    """

    def __init__(self, max_writers: int, busy_milliseconds: int) -> None:
        self._free, self._busy = max_writers, busy_milliseconds
        self._lock = threading.Lock()
        # The waiting teams, the next one first; a waiter is a lock that is released to give it a place.
        self._waiting: OrderedDict[UUID, deque[threading.Lock]] = OrderedDict()

    @contextmanager
    def acquire(self, team_id: UUID) -> Iterator[int]:
        """Hold one of the places; yield the milliseconds, at least 1, that are left for the database's own lock.

        Raises:
            Unavailable: no place became free in time.
        """
        started = time.monotonic()
        if not self._acquire(team_id):
            raise Unavailable("The database is busy. Try again.", retry_after=1)
        try:
            yield max(1, self._busy - round(1000 * (time.monotonic() - started)))
        finally:
            with self._lock:
                self._release(team_id)

    def _acquire(self, team_id: UUID) -> bool:
        """Take a free place and return True, or wait for one in the team's queue; return False after the timeout."""
        waiter = threading.Lock()
        waiter.acquire()
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            self._waiting.setdefault(team_id, deque()).append(waiter)
        if waiter.acquire(timeout=self._busy / 1000):
            return True
        with self._lock:
            # A place may have been given at this moment.
            return waiter.acquire(blocking=False) or self._remove(team_id, waiter)

    def _remove(self, team_id: UUID, waiter: threading.Lock) -> bool:
        """Remove a waiter that got no place before its timeout; returns False, the result of its wait.

        The caller holds the lock and has checked that no place was given meanwhile.
        """
        self._waiting[team_id].remove(waiter)
        if not self._waiting[team_id]:
            del self._waiting[team_id]
        return False

    def _release(self, team_id: UUID) -> None:
        """Give the place to the next team in turn that has a waiter, or free it. The caller holds the lock."""
        if team_id in self._waiting:
            self._waiting.move_to_end(team_id)
        if not self._waiting:
            self._free += 1
            return
        next_team, waiters = next(iter(self._waiting.items()))
        waiters.popleft().release()
        if waiters:
            self._waiting.move_to_end(next_team)
        else:
            del self._waiting[next_team]
