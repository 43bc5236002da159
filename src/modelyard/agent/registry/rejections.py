"""Heartbeats that the registry refuses for what they contain, and when their content is sent again.

Such a heartbeat is not repeated: the following ones have no model states and no uses, so that the registry goes on
knowing the machine. After some time, which doubles each time, all states are sent once more in a new series.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from modelyard.agent.registry.connection import REFUSALS
from modelyard.agent.schedule import IDLE_HEARTBEAT_SECONDS
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.problems import Problem

# Malformed, too large, of another type, invalid.
_CONTENT_STATUSES = frozenset({400, 413, 415, 422})
# Longer than the time to the next heartbeat, which goes without the content.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 600.0


def is_rejection(failure: Problem | TransferFailed) -> bool:
    """Return whether the registry has read a heartbeat and refuses what it contains, so that a repetition is no use."""
    if not isinstance(failure, Problem) or isinstance(failure, REFUSALS):
        return False
    # A problem of an unknown kind has its status among its facts.
    return failure.facts.get("http_status", failure.status) in _CONTENT_STATUSES


@dataclass
class Rejections:
    """Whether the registry refuses what this machine reports, why, and until when it is held back.

    ``get_now`` returns monotonic seconds.
    """

    get_now: Callable[[], float] = time.monotonic
    reason: str | None = None
    _count: int = 0
    _held_until: float = 0.0

    @property
    def is_holding(self) -> bool:
        """Whether a heartbeat has to go without states and uses."""
        return self.reason is not None and self.get_now() < self._held_until

    def record(self, failure: Exception, *, was_minimal: bool) -> float:
        """Record a rejected heartbeat, and return the seconds until the next one.

        ``was_minimal``: it had no states and no uses already, so the next one waits as long as they do.
        """
        self.reason = (
            "The registry refuses what this machine reports, and shows nothing new of its models. It may be older than "
            f"this agent: upgrade the registry. Its answer: {failure}"
        )
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._count, 16))
        self._count += 1
        self._held_until = self.get_now() + pause
        return pause if was_minimal else IDLE_HEARTBEAT_SECONDS

    def record_acceptance(self) -> None:
        """Record that the registry took a heartbeat with everything in it."""
        self.reason, self._count = None, 0
