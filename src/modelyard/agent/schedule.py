"""When an agent reconciles, retries and sends heartbeats. Pure: all times are arguments, in monotonic seconds."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelyard.sync.apply.transfer_window import TransferWindow, get_closed_reason

# Upper bound between two reconciliations, because files can change without any notification.
RECONCILE_INTERVAL_SECONDS = 600.0
# Failed actions are retried after this time, which doubles with each failure up to the longest.
FIRST_RETRY_SECONDS = 15.0
LONGEST_RETRY_SECONDS = 600.0
IDLE_HEARTBEAT_SECONDS = 30.0
BUSY_HEARTBEAT_SECONDS = 2.0
_LONGEST_HEARTBEAT_SECONDS = 300.0

# A long poll that ends this much early without a new manifest was ended by the registry. The next one follows as much
# later, so that a heartbeat is sent before.
EARLY_POLL_SECONDS = 1.0
# One that ends within this time has probably not waited: the registry has no place for it.
REFUSED_POLL_SECONDS = 1.0
_REFUSED_POLLS = 3
# Between polls while the registry answers each at once; up to a half more, so that many machines do not ask together.
POLL_INTERVAL_SECONDS = 30.0

FIRST_BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0


@dataclass
class Backoff:
    """Exponential backoff with jitter, so that many machines do not reconnect to one registry at the same moment.

    ``get_jitter`` returns a random number from 0 to 1; the wait is between half and all of the exponential time.
    """

    get_jitter: Callable[[], float] = random.random
    _failures: int = 0

    def next_wait(self) -> float:
        """Count a failed attempt and return the seconds to wait before the next one."""
        longest = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0**self._failures)
        self._failures = min(self._failures + 1, 16)
        return longest * (0.5 + self.get_jitter() / 2)

    def reset(self) -> None:
        """Record a successful attempt: the next wait is the shortest again."""
        self._failures = 0

    @property
    def has_failed(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0


@dataclass
class PollSchedule:
    """How long to wait after a long poll that ended early without a new manifest.

    The registry ends one early to get a heartbeat, so the next poll follows soon. If three in a row end at once, the
    registry lets no more requests wait, and the machine asks at an interval. ``get_jitter`` returns a random number
    from 0 to 1.
    """

    get_jitter: Callable[[], float] = random.random
    _ended_at_once: int = 0

    def next_wait(self, took: float) -> float:
        """Record a poll that ended early after ``took`` seconds, and return the seconds to wait before the next one."""
        self._ended_at_once = self._ended_at_once + 1 if took < REFUSED_POLL_SECONDS else 0
        is_refused = self._ended_at_once >= _REFUSED_POLLS
        return POLL_INTERVAL_SECONDS * (1 + self.get_jitter() / 2) if is_refused else EARLY_POLL_SECONDS

    def reset(self) -> None:
        """Record a poll that did not end early, or brought a new manifest."""
        self._ended_at_once = 0


@dataclass
class ReconcileSchedule:
    """When the next reconciliation is due."""

    window: TransferWindow | None = None
    _due: float = 0.0
    _failures: int = 0
    _is_failure_counted: bool = False

    def request(self, now: float) -> None:
        """Make a reconciliation due now, unless one is due already."""
        self._due = min(self._due, now)

    def start(self, now: float) -> None:
        """Record that a reconciliation starts; the next is due in ten minutes, or after a ``request`` from here on."""
        self._is_failure_counted = False
        self._due = now + RECONCILE_INTERVAL_SECONDS

    def record_failure(self, now: float) -> None:
        """Schedule a retry of what failed; between two calls of ``start``, only the first call has an effect."""
        if not self._is_failure_counted:
            self._is_failure_counted = True
            self._failures += 1
            wait = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(self._failures - 1, 16))
            self._due = min(self._due, now + wait)

    def record_end(self, now: float, local_time: datetime, *, has_failed: bool = False) -> None:
        """Record that nothing more of a plan can be done now, with or without failed actions.

        Without failed actions, the next retry is the shortest again. If the download window is closed, a reconciliation
        becomes due when it opens.
        """
        if has_failed:
            self.record_failure(now)
        else:
            self._failures = 0
        if (opens := get_seconds_until_open(self.window, local_time)) is not None:
            self._due = min(self._due, now + opens)

    def get_wait(self, now: float) -> float:
        """Return the seconds until the next reconciliation is due; 0 if it is, as at first."""
        return max(0.0, self._due - now)


@dataclass
class HeartbeatSchedule:
    """When the next heartbeat is due."""

    backoff: Backoff = field(default_factory=Backoff)
    _last: float = float("-inf")
    _due: float = 0.0

    def request(self) -> None:
        """Make a heartbeat due ``BUSY_HEARTBEAT_SECONDS`` after the last, or after the backoff if that failed."""
        self._due = min(self._due, self._last + BUSY_HEARTBEAT_SECONDS)

    def request_now(self, now: float) -> None:
        """Make a heartbeat due at once and end the backoff, because the registry is back."""
        self.backoff.reset()
        self._due = now

    def record_success(self, now: float, interval: float, *, is_busy: bool) -> None:
        """Record an answered heartbeat.

        Args:
            now: the time.
            interval: the seconds that the registry asks for; bounded here, and the idle interval if not finite.
            is_busy: whether actions run or reports are unsent, so that the next heartbeat is due sooner.
        """
        self.backoff.reset()
        self._last = now
        asked = (
            min(max(interval, BUSY_HEARTBEAT_SECONDS), _LONGEST_HEARTBEAT_SECONDS)
            if math.isfinite(interval)
            else IDLE_HEARTBEAT_SECONDS
        )
        self._due = now + (min(asked, BUSY_HEARTBEAT_SECONDS) if is_busy else asked)

    def record_failure(self, now: float) -> None:
        """Record a heartbeat that failed: the next one is due after the backoff's wait, whatever is requested."""
        self._last = self._due = now + self.backoff.next_wait()

    def record_rejection(self, now: float, wait: float) -> None:
        """Record a heartbeat whose content was refused: the next one is due after ``wait``, whatever is requested."""
        self.backoff.reset()
        self._last = self._due = now + wait

    @property
    def has_failed(self) -> bool:
        """Whether the last heartbeat failed; False after ``request_now``."""
        return self.backoff.has_failed

    def get_wait(self, now: float) -> float:
        """Return the seconds until the next heartbeat is due; 0 if it is."""
        return max(0.0, self._due - now)


def get_seconds_until_open(window: TransferWindow | None, local_time: datetime) -> float | None:
    """Return how many seconds a window stays closed from this aware local time; None if it is open or absent."""
    if window is None or get_closed_reason(window, local_time) is None:
        return None
    opens = datetime.combine(local_time.date(), window.start, local_time.tzinfo)
    if opens <= local_time:
        opens += timedelta(days=1)
    return (opens - local_time).total_seconds()
