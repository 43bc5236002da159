"""Heartbeats that the registry refuses for what they contain, and when their content is sent again.

Such a heartbeat is not repeated: the following ones have no model states, and few values if they are refused too, so
that the registry goes on knowing the machine. After some time, which doubles each time, all states are sent once more
in a new series.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from modelyard.agent.schedule import BUSY_HEARTBEAT_SECONDS, IDLE_HEARTBEAT_SECONDS
from modelyard.comfyui.quoting import printable
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.problems import (
    BodyTooLarge,
    InternalError,
    InvalidRequest,
    MalformedJson,
    Problem,
    UnsupportedMediaType,
)

# What a heartbeat has: everything; everything but model states; or only by what the registry knows the machine.
HeartbeatContent = Literal["all", "no_states", "few_values"]
# Longer than the time to the next heartbeat, which goes without the content.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 600.0


def is_rejection(failure: Problem | TransferFailed) -> bool:
    """Return whether the registry refuses a heartbeat for its content, so that a repetition is no use.

    A refusal by a proxy is none, even one of its size: it is not in the registry's form, and counts as an outage.
    """
    if isinstance(failure, InvalidRequest | MalformedJson | BodyTooLarge | UnsupportedMediaType):
        return True
    # A problem of an unknown kind has its status among its facts.
    return isinstance(failure, InternalError) and failure.facts.get("http_status") == InvalidRequest.status


@dataclass
class Rejections:
    """Whether the registry refuses what this machine reports, why, and until when it is held back.

    ``get_now`` returns monotonic seconds.
    """

    get_now: Callable[[], float] = time.monotonic
    reason: str | None = None
    count: int = 0  # of rejected heartbeats since the start
    _pauses: int = 0
    _held_until: float = 0.0
    _is_description_refused: bool = False

    def get_content(self) -> HeartbeatContent:
        """Return what the next heartbeat may have."""
        if self.reason is None or self.get_now() >= self._held_until:
            return "all"
        return "few_values" if self._is_description_refused else "no_states"

    def record(self, failure: Exception, refused: HeartbeatContent) -> float:
        """Record a rejected heartbeat and what it had, and return the seconds until the next one.

        One of few values was rejected for what every heartbeat has, so the next one waits as long as the states do.
        """
        self.count += 1
        self.reason = (
            "The registry refuses what this machine reports, and shows nothing new of its models. It may be older than "
            f"this agent: upgrade the registry. Its answer: {printable(str(failure))}"
        )
        if refused == "no_states":
            self._is_description_refused = True
            return BUSY_HEARTBEAT_SECONDS
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._pauses, 16))
        self._pauses += 1
        self._held_until = self.get_now() + pause
        return IDLE_HEARTBEAT_SECONDS if refused == "all" else pause

    def record_acceptance(self) -> None:
        """Record that the registry has everything that the machine reports."""
        self.reason, self._pauses, self._is_description_refused = None, 0, False
