"""A clock that tests set, for the time limit of retries."""

import time

import pytest

from modelyard.transfer import progress, retry


class FakeClock:
    """A replacement of the module ``time`` in ``progress`` and ``retry``; each look at it adds ``tick_seconds``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, tick_seconds: float = 0.0) -> None:
        self.now = time.monotonic()
        self._tick_seconds = tick_seconds
        for module in (progress, retry):
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        self.now += self._tick_seconds
        return self.now
