"""Progress events of transfers and the callbacks that receive them.

A transfer calls its ``on_progress`` callback on its event loop, at most about ten times a second, so the callback may
use a terminal or the loop without locks.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_INTERVAL_SECONDS = 0.2


@dataclass(frozen=True)
class Hashed:
    """Progress of hashing a local file: ``done`` of ``total`` bytes."""

    path: Path
    done: int
    total: int


@dataclass(frozen=True)
class Sent:
    """Progress of an upload: ``done`` of ``total`` bytes. ``done`` decreases when a part has to be sent again."""

    path: Path
    done: int
    total: int


@dataclass(frozen=True)
class Received:
    """Progress of a download: ``done`` of ``total`` bytes are in the partial file, earlier runs included."""

    path: Path
    done: int
    total: int


@dataclass(frozen=True)
class Verified:
    """Progress of verifying a download: ``done`` of ``total`` bytes have been hashed."""

    path: Path
    done: int
    total: int


@dataclass(frozen=True)
class Resumed:
    """A resumed transfer: ``kept`` of ``total`` bytes come from an earlier run and are not transferred again."""

    path: Path
    kept: int
    total: int


@dataclass(frozen=True)
class Retrying:
    """A temporary failure; the request is retried after ``wait_seconds``.

    ``store`` is the host that failed to send or accept bytes; None if the registry failed to provide a URL. The
    transfer fails in ``left_seconds`` unless it makes progress.
    """

    path: Path
    why: str
    wait_seconds: float
    store: str | None = None
    left_seconds: float = 0.0


ProgressEvent = Hashed | Sent | Received | Verified | Resumed | Retrying
OnProgress = Callable[[ProgressEvent], None]


def ignore_progress(event: object) -> None:
    """Discard a progress event; the callback of callers that do not need progress."""


class ByteCounter:
    """A thread-safe count of bytes, and the progress event built from it."""

    def __init__(self, event: Callable[[int], ProgressEvent], done: int = 0) -> None:
        self.event = event
        self.done = done
        self.reported: int | None = None  # the count reported last; None after an event of another kind
        self.advanced_at = time.monotonic()  # when the count last reached a new maximum
        self._highest = done
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Add ``count`` bytes; a negative number subtracts."""
        with self._lock:
            self._set(self.done + count)

    def set_done(self, done: int) -> None:
        """Set the count. Of calls from several threads the last one counts, even if its number is older."""
        with self._lock:
            self._set(done)

    def _set(self, done: int) -> None:
        """Set the count, and record the time if it is a new maximum. The caller holds the lock."""
        self.done = done
        if done > self._highest:
            self._highest, self.advanced_at = done, time.monotonic()


@asynccontextmanager
async def report_progress(on_progress: OnProgress, *counters: ByteCounter) -> AsyncIterator[None]:
    """Call ``on_progress`` every 0.2 seconds for each changed counter while the block runs, and once at its end.

    Not at the end of a block that raises. What ``on_progress`` raises stops the reporting, and is re-raised at the end
    of the block unless that raises itself.

    Raises:
        Exception: what ``on_progress`` raised, after a block that raises nothing.
    """

    def report_changes() -> None:
        """Call ``on_progress`` once for each counter whose count has changed since it was last reported."""
        for counter in counters:
            done = counter.done
            if counter.reported != done:
                counter.reported = done
                on_progress(counter.event(done))

    async def report_periodically() -> None:
        while True:
            await asyncio.sleep(_INTERVAL_SECONDS)
            report_changes()

    reporter = asyncio.create_task(report_periodically())
    try:
        yield
    finally:
        reporter.cancel()
        await asyncio.wait([reporter])
    if not reporter.cancelled() and (failure := reporter.exception()) is not None:
        raise failure
    report_changes()
