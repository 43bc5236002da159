import asyncio
from collections.abc import Coroutine
from pathlib import Path

import pytest

from modelyard.transfer.progress import ByteCounter, Hashed, ProgressEvent, report_progress
from tests.transfer.fake_clock import InstantTimeLoop
from tests.waiting import pause_async


def _counter() -> ByteCounter:
    return ByteCounter(lambda done: Hashed(Path("x"), done, 1000))


def _run(work: Coroutine[None, None, None]) -> None:
    with asyncio.Runner(loop_factory=InstantTimeLoop) as runner:
        runner.run(work)


def test_report_progress_is_throttled_and_ends_with_the_last_count() -> None:
    events: list[ProgressEvent] = []

    async def work() -> None:
        counter = _counter()
        async with report_progress(events.append, counter):
            for _ in range(1000):
                counter.add(1)
                await pause_async(0.0005)

    _run(work())

    # Half a second, five a second, and the last.
    assert len(events) == 3
    assert events[-1] == Hashed(Path("x"), 1000, 1000)


def test_report_progress_unchanged_count_is_reported_once() -> None:
    events: list[ProgressEvent] = []

    async def work() -> None:
        counter = _counter()
        async with report_progress(events.append, counter):
            counter.add(5)
            await pause_async(0.6)

    _run(work())

    assert events == [Hashed(Path("x"), 5, 1000)]


def test_report_progress_callback_error_is_re_raised() -> None:
    def fail(event: ProgressEvent) -> None:
        raise OSError("the terminal is gone")

    async def work() -> None:
        counter = _counter()
        async with report_progress(fail, counter):
            counter.add(1)
            await pause_async(0.3)

    with pytest.raises(OSError, match="terminal"):
        _run(work())
