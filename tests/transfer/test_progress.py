import asyncio
import time
from pathlib import Path

import pytest

from modelyard.transfer.progress import ByteCounter, Hashed, ProgressEvent, report_progress

pytestmark = pytest.mark.slow


def _counter() -> ByteCounter:
    return ByteCounter(lambda done: Hashed(Path("x"), done, 1000))


def test_report_progress_is_throttled_and_ends_with_the_last_count() -> None:
    events: list[ProgressEvent] = []

    async def work() -> None:
        counter = _counter()
        async with report_progress(events.append, counter):
            for _ in range(1000):
                counter.add(1)
                await asyncio.sleep(0.0005)

    began = time.monotonic()
    asyncio.run(work())

    # Five a second, and the last.
    assert 1 <= len(events) <= 5 * (time.monotonic() - began) + 2
    assert events[-1] == Hashed(Path("x"), 1000, 1000)


def test_report_progress_unchanged_count_is_reported_once() -> None:
    events: list[ProgressEvent] = []

    async def work() -> None:
        counter = _counter()
        async with report_progress(events.append, counter):
            counter.add(5)
            await asyncio.sleep(0.6)

    asyncio.run(work())

    assert events == [Hashed(Path("x"), 5, 1000)]


def test_report_progress_callback_error_is_re_raised() -> None:
    def fail(event: ProgressEvent) -> None:
        raise OSError("the terminal is gone")

    async def work() -> None:
        counter = _counter()
        async with report_progress(fail, counter):
            counter.add(1)
            await asyncio.sleep(0.3)

    with pytest.raises(OSError, match="terminal"):
        asyncio.run(work())
