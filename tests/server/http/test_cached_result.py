"""A cached result: concurrent callers share one computation."""

import asyncio
import threading

import pytest

from modelyard.server.http.cached_result import CachedResult
from tests.waiting import PATIENCE_SECONDS


class CountedComputation:
    """A computation that waits until it is released, and returns how often it was done."""

    def __init__(self) -> None:
        self.count = 0
        self.release = threading.Event()

    def __call__(self) -> int:
        self.release.wait(PATIENCE_SECONDS)
        self.count += 1
        return self.count


async def test_get_many_at_once_computes_once() -> None:
    counted = CountedComputation()
    result = CachedResult(counted, keep_seconds=60)
    tasks = [asyncio.create_task(result.get()) for _ in range(100)]
    await asyncio.sleep(0)  # all have begun
    # A caller that is cancelled does not cancel the computation for the others.
    tasks.pop().cancel()
    counted.release.set()
    assert await asyncio.gather(*tasks) == [1] * 99
    assert await result.get() == 1


async def test_get_result_too_old_computes_again() -> None:
    counted = CountedComputation()
    counted.release.set()
    result = CachedResult(counted, keep_seconds=0)
    assert [await result.get(), await result.get()] == [1, 2]


async def test_get_computation_that_fails_raises_and_tries_again() -> None:
    answers = iter([0, 4])
    result = CachedResult(lambda: 8 // next(answers), keep_seconds=60)
    with pytest.raises(ZeroDivisionError):
        await result.get()
    assert await result.get() == 2
