import asyncio
import time
from pathlib import Path

import pytest

from modelyard.transfer.progress import Event, Gauge, Hashed, reporting


def _gauge() -> Gauge:
    return Gauge(lambda done: Hashed(Path("x"), done, 1000))


def test_reports_come_seldom_and_end_with_the_last_count() -> None:
    heard: list[Event] = []

    async def work() -> None:
        gauge = _gauge()
        async with reporting(heard.append, gauge):
            for _ in range(1000):
                gauge.move(1)
                await asyncio.sleep(0.0005)

    began = time.monotonic()
    asyncio.run(work())

    # Five a second, and the last.
    assert 1 <= len(heard) <= 5 * (time.monotonic() - began) + 2
    assert heard[-1] == Hashed(Path("x"), 1000, 1000)


def test_nothing_is_reported_twice() -> None:
    heard: list[Event] = []

    async def work() -> None:
        gauge = _gauge()
        async with reporting(heard.append, gauge):
            gauge.move(5)
            await asyncio.sleep(0.6)

    asyncio.run(work())

    assert heard == [Hashed(Path("x"), 5, 1000)]


def test_a_report_that_fails_is_heard_of() -> None:
    def fail(event: Event) -> None:
        raise OSError("the terminal is gone")

    async def work() -> None:
        gauge = _gauge()
        async with reporting(fail, gauge):
            gauge.move(1)
            await asyncio.sleep(0.3)

    with pytest.raises(OSError, match="terminal"):
        asyncio.run(work())
