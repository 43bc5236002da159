"""What follows an attempt to send a delivery: nothing, the next attempt, or the end. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from modelyard.wire.webhooks import DeliveryState

# After which failed attempt in a row the next one follows, by the recommendation of Standard Webhooks: three days.
PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
MAX_PAUSE = timedelta(hours=24)
# The longest hold of a webhook without ``Retry-After``.
MAX_HOLD = timedelta(minutes=30)
# So much of a pause is added at random, so that receivers do not get all of their deliveries at the same moment.
JITTER = 0.2
_GONE = 410


@dataclass(frozen=True)
class Outcome:
    """The outcome of an attempt: a response, or an ``error`` in words without one."""

    status: int | None = None
    error: str | None = None
    retry_after: timedelta = timedelta(0)

    @property
    def is_success(self) -> bool:
        """Whether the receiver answered with 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def message(self) -> str | None:
        """Why the attempt failed, in words; None if it succeeded."""
        if self.is_success:
            return None
        if self.status is None:
            return self.error or "There was no response."
        if 300 <= self.status < 400:
            return f"The receiver answered {self.status}. Redirects are not followed: set the address that it names."
        if self.status == _GONE:
            return "The receiver answered 410: it wants no more requests."
        return f"The receiver answered {self.status}."


@dataclass(frozen=True)
class NextStep:
    """The state of a delivery after an attempt, the pause before the next one, and why the webhook is disabled now."""

    state: DeliveryState
    pause: timedelta | None = None
    disabled_reason: str | None = None


def decide_next_step(outcome: Outcome, tries: int, jitter: float, *, has_delivered_since: bool) -> NextStep:
    """Decide what follows an attempt.

    ``tries`` are the failed attempts in a row with this one, and ``jitter`` is a random number from 0 to 1. After the
    last attempt the webhook is disabled, unless another delivery has succeeded since this one was queued.
    """
    if outcome.is_success:
        return NextStep("delivered")
    if outcome.status == _GONE:
        return NextStep("failed", disabled_reason=outcome.message)
    if tries <= len(PAUSES):
        pause = PAUSES[tries - 1] * (1 + JITTER * jitter)
        return NextStep("pending", pause=max(pause, min(outcome.retry_after, MAX_PAUSE)))
    if has_delivered_since:
        return NextStep("failed")
    return NextStep("failed", disabled_reason=f"{tries} attempts in three days failed. {outcome.message}")


def decide_hold(failing_for: timedelta, retry_after: timedelta) -> timedelta:
    """Decide for how long a webhook gets no further delivery after a failed attempt.

    As long as its attempts have failed already, so that holds double, from the first pause to ``MAX_HOLD``. A longer
    ``Retry-After`` is honoured.
    """
    return max(PAUSES[0], min(failing_for, MAX_HOLD), min(retry_after, MAX_PAUSE))
