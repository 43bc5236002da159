"""A clock that tests set, for the limits of transfers, and an event loop whose time passes at once."""

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.transfer import options, progress, retry


class FakeClock:
    """A replacement of the module ``time`` in three modules of ``transfer``; each look at it adds ``tick_seconds``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, tick_seconds: float = 0.0) -> None:
        self.now = time.monotonic()
        self._tick_seconds = tick_seconds
        for module in (options, progress, retry):
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        self.now += self._tick_seconds
        return self.now


class InstantTimeLoop(asyncio.SelectorEventLoop):
    """An event loop in which timers are due as soon as nothing else can be done: its time is the sum of all waits.

    Not for code that waits for threads or processes.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_InstantSelector(self._advance))

    def time(self) -> float:
        return self._now

    def _advance(self, seconds: float) -> None:
        self._now += seconds


class _InstantSelector(selectors.SelectSelector):
    """A selector that reports a wait with a time limit instead of waiting."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0 if timeout else timeout)
        if not events and timeout:
            self._advance(timeout)
        return events
