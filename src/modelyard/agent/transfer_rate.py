"""The progress of the running plan, and how long it still takes."""

from collections import deque
from typing import NamedTuple

# Only the last half minute counts, so that a pause or another network soon shows.
WINDOW_SECONDS = 30.0
# Shorter periods say little: a download has just begun.
_MIN_SECONDS = 2.0


class Progress(NamedTuple):
    """The bytes of the running plan: those that are here, and all."""

    done: int
    total: int


class TransferRate:
    """Estimates the seconds left of a plan from how many bytes were done at what time."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def reset(self) -> None:
        """Drop the samples of a plan that has ended."""
        self._samples.clear()

    def estimate_seconds_left(self, moment: float, progress: Progress) -> int | None:
        """Record the progress; return the seconds left, or None if the rate is unknown yet, or 0.

        Fewer bytes than before belong to another plan: the estimate starts anew.
        """
        samples, done = self._samples, progress.done
        if samples and done < samples[-1][1]:
            samples.clear()
        samples.append((moment, done))
        while len(samples) > 2 and samples[1][0] <= moment - WINDOW_SECONDS:
            samples.popleft()
        seconds, transferred = moment - samples[0][0], done - samples[0][1]
        if seconds < _MIN_SECONDS or transferred <= 0:
            return None
        return round((progress.total - done) * seconds / transferred)
