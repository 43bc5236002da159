"""What a transfer tells about itself while it runs; it draws nothing.

A transfer calls ``Report`` on its event loop, at most about ten times a second, so a report may touch a screen or
the loop without locks.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_TICK_SECONDS = 0.2


@dataclass(frozen=True)
class Hashed:
    """``done`` of ``total`` bytes of a file have been hashed before they are sent."""

    path: Path
    done: int
    total: int


@dataclass(frozen=True)
class Sent:
    """``done`` of ``total`` bytes have been sent. A part that must be sent again sets ``done`` back."""

    path: Path
    done: int
    total: int


@dataclass(frozen=True)
class Received:
    """``done`` of ``total`` bytes are in the partial file, those of earlier runs included."""

    path: Path
    done: int
    total: int


@dataclass(frozen=True)
class Verified:
    """``done`` of ``total`` received bytes have been hashed."""

    path: Path
    done: int
    total: int


@dataclass(frozen=True)
class Resumed:
    """``kept`` of ``total`` bytes were left by an earlier run and are not fetched again."""

    path: Path
    kept: int
    total: int


@dataclass(frozen=True)
class Retrying:
    """Something failed that may pass; it is tried again after ``wait_seconds``."""

    path: Path
    why: str
    wait_seconds: float


Event = Hashed | Sent | Received | Verified | Resumed | Retrying
Report = Callable[[Event], None]


def unheard(event: Event) -> None:
    """The report of a caller who does not care."""


class Gauge:
    """A count of bytes that any thread may move, and the event that tells it."""

    def __init__(self, event: Callable[[int], Event], done: int = 0) -> None:
        self.event = event
        self.done = done
        self._lock = threading.Lock()

    def move(self, count: int) -> None:
        """Add ``count``, which may be negative."""
        with self._lock:
            self.done += count

    def put(self, done: int) -> None:
        """Set the count, where one thread alone knows it."""
        self.done = done


@asynccontextmanager
async def reporting(report: Report, *gauges: Gauge) -> AsyncIterator[None]:
    """Report what moved while the block runs, and once more at its end.

    What ``report`` raises ends the reports and comes out at the end of the block.
    """
    told: dict[Gauge, int] = {}

    def tell() -> None:
        for gauge in gauges:
            done = gauge.done
            if told.get(gauge) != done:
                told[gauge] = done
                report(gauge.event(done))

    async def tick() -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            tell()

    ticking = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])
    if not ticking.cancelled() and (failure := ticking.exception()) is not None:
        raise failure
    tell()
