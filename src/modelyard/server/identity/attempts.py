"""Counting failed attempts, so that guessing is slow for whoever guesses and for nobody else."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from modelyard.wire.problems import TooManyAttempts

WINDOW_SECONDS = 60.0
# One account from one address; one address whatever it tries; one account from wherever.
PAIR_LIMIT = 10
ADDRESS_LIMIT = 100
ACCOUNT_LIMIT = 50
REMEMBERED = 10_000

Key = tuple[str, ...]


@dataclass
class _Count:
    until: float
    failures: int = 0


@dataclass
class Attempts:
    """Failures of the last minute, in this process.

    Every attempt counts until it is forgiven, so that many at once cannot slip through together.
    """

    clock: Callable[[], float] = time.monotonic
    _counts: OrderedDict[Key, _Count] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, account: str, address: str) -> None:
        """Count an attempt, before anything is checked.

        Raises:
            TooManyAttempts: with ``retry_after`` in seconds.
        """
        with self._lock:
            now = self.clock()
            counts = [(self._count(key, now), limit) for key, limit in _limits(account, address)]
            full = [count.until - now for count, limit in counts if count.failures >= limit]
            if full:
                wait = max(1, round(max(full) + 0.5))
                raise TooManyAttempts(f"Too many failed attempts. Try again in {wait} seconds.", retry_after=wait)
            for count, _ in counts:
                count.failures += 1

    def forgive(self, account: str, address: str) -> None:
        """The attempt was right: it counts nowhere, and the earlier mistakes from this address are forgotten."""
        with self._lock:
            now = self.clock()
            for key, _ in _limits(account, address):
                count = self._count(key, now)
                count.failures = max(0, count.failures - 1)
            self._count(("both", account, address), now).failures = 0

    def _count(self, key: Key, now: float) -> _Count:
        count = self._counts.get(key)
        if count is None or count.until <= now:
            count = _Count(now + WINDOW_SECONDS)
            self._counts[key] = count
            self._counts.move_to_end(key)
            while len(self._counts) > REMEMBERED:
                self._counts.popitem(last=False)
        return count


def _limits(account: str, address: str) -> list[tuple[Key, int]]:
    # Named, since an account may be called "" by whoever guesses.
    return [
        (("both", account, address), PAIR_LIMIT),
        (("address", address), ADDRESS_LIMIT),
        (("account", account), ACCOUNT_LIMIT),
    ]
