"""The places of requests that wait for a change: they bound the connections that such requests hold."""

import logging
import time
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import Limits, Usage

# A machine that loses its connection polls again before the server has noticed that the first request has no client.
PLACES_PER_CALLER = 2
_WARN_AGAIN_SECONDS = 60.0

log = logging.getLogger("modelyard.http")


class WaitingPlaces:
    """Counts the waiting requests of one process, and refuses a place to those beyond the limits.

    There are limits for one caller, for one person, for one team, and for all. A request without a place is answered at
    once. Belongs to one event loop.
    """

    def __init__(self, limits: Limits) -> None:
        self.usage = Usage(limits)
        self._of_callers = Counter[Hashable]()
        self._warned_at = float("-inf")

    @contextmanager
    def take(self, account: Account, caller: Hashable) -> Iterator[bool]:
        """Take a place until the block ends, if there is one for this caller; yield whether there is."""
        if not self._has_place(account, caller):
            yield False
            return
        self._of_callers[caller] += 1
        self.usage.add(account)
        try:
            yield True
        finally:
            self.usage.remove(account)
            self._of_callers[caller] -= 1
            if not self._of_callers[caller]:
                # A caller without a place takes no memory.
                del self._of_callers[caller]

    def _has_place(self, account: Account, caller: Hashable) -> bool:
        """Return whether a caller may wait; log a warning if its account or all callers have too many places."""
        if self._of_callers[caller] >= PLACES_PER_CALLER:
            return False
        has_place = self.usage.fits(account)
        if not has_place:
            self._warn()
        return has_place

    def _warn(self) -> None:
        """Log that requests are answered without waiting, at most once a minute."""
        if time.monotonic() > self._warned_at + _WARN_AGAIN_SECONDS:
            self._warned_at = time.monotonic()
            log.warning(
                "too many machines wait for changes: others ask at intervals, until this process may open more files",
                extra={"waiting": self.usage.total, "places": self.usage.limits.total},
            )


def build_waiting_places(max_connections: int) -> WaitingPlaces:
    """Build the places of a process with so many connections: half of them, so that other requests get the rest.

    One person, and one team, gets three quarters of the places.
    """
    total = max_connections // 2
    share = max(1, total * 3 // 4)
    return WaitingPlaces(Limits(total, per_person=share, per_team=share))
