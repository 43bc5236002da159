"""The pictures beside models that could not be written: why, and when each is tried again."""

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced, build_not_placed
from modelyard.sync.planning.actions import Remove
from modelyard.sync.previews.planner import WritePreview
from modelyard.wire.problems import Problem, Unavailable

RETRY_SECONDS = 3600.0
# After a registry that was busy; doubled by each further failure of the same picture, up to ``RETRY_SECONDS``.
BUSY_RETRY_SECONDS = 60.0
_MAX_BUSY_WAIT_SECONDS = 10.0

_Key = tuple[Path, str]


class _Failure(NamedTuple):
    """The line for the log, when to try again (monotonic), and how many attempts failed."""

    line: str
    retry_at: float
    attempts: int


class FailedPictures:
    """The failures of one machine's pictures, by path and SHA-256."""

    def __init__(self) -> None:
        self._failures: dict[_Key, _Failure] = {}

    def record_failure(self, action: WritePreview, failure: NotPlaced | OSError | Problem) -> None:
        """Record that a picture could not be written; it is due in an hour, or sooner if the registry was busy."""
        before = self._failures.get(_get_key(action))
        attempts = 1 if before is None else before.attempts + 1
        wait = BUSY_RETRY_SECONDS * 2.0 ** min(attempts - 1, 10) if isinstance(failure, Unavailable) else RETRY_SECONDS
        line = describe_failure(action, "written", failure)
        self._failures[_get_key(action)] = _Failure(line, time.monotonic() + min(wait, RETRY_SECONDS), attempts)

    def record_success(self, action: WritePreview) -> None:
        """Drop the failure of a picture, because it was written."""
        self._failures.pop(_get_key(action), None)

    def keep_only(self, actions: Iterable[WritePreview]) -> None:
        """Drop the failures of all pictures that are not to be written any more."""
        keys = {_get_key(action) for action in actions}
        self._failures = {key: failure for key, failure in self._failures.items() if key in keys}

    def is_due(self, action: WritePreview) -> bool:
        """Return whether a picture may be tried now; True if it did not fail."""
        failure = self._failures.get(_get_key(action))
        return failure is None or failure.retry_at <= time.monotonic()

    def get_wait(self) -> float:
        """Return the seconds until a picture that failed is due; infinite without any."""
        retry_at = min((failure.retry_at for failure in self._failures.values()), default=math.inf)
        return max(0.0, retry_at - time.monotonic())

    def list_lines(self) -> list[str]:
        """Return a line for the log for each failure."""
        return [failure.line for failure in self._failures.values()]


def get_busy_wait(failure: Exception) -> float:
    """Return how many seconds to wait before the next picture: what a busy registry asks for, 10 at most, else 0."""
    if not isinstance(failure, Unavailable):
        return 0.0
    seconds = failure.facts.get("retry_after")
    return float(max(0, min(seconds, _MAX_BUSY_WAIT_SECONDS))) if isinstance(seconds, int) else 1.0


def describe_failure(action: WritePreview | Remove, done: str, failure: NotPlaced | OSError | Problem) -> str:
    """Return the log line for a picture that could not be written or removed."""
    path = action.target.path
    return f"The picture {quoted(path)} was not {done}: {build_not_placed(path, failure).reason}"


def _get_key(action: WritePreview) -> _Key:
    """Return the path and the SHA-256 of a picture."""
    return action.target.path, action.picture_sha256
