"""Waiting for what other threads, tasks or processes bring about, and letting time pass.

A bound only ends a test that hangs: it is no statement about speed. ``MODELYARD_TEST_PATIENCE`` multiplies all bounds,
for machines that do other things beside the tests. ``tests/architecture/test_waiting.py`` refuses other ways to wait.
"""

import asyncio
import inspect
import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

PATIENCE_SECONDS: Final = 60.0 * float(os.environ.get("MODELYARD_TEST_PATIENCE", "1"))
# Polls are the minimum apart at first, and then a tenth of the time that has passed, up to the maximum.
MIN_POLL_SECONDS: Final = 0.01
MAX_POLL_SECONDS: Final = 0.05
# For one request to a service that starts. It is repeated, so this ends no test: another program may have the port.
PROBE_SECONDS: Final = PATIENCE_SECONDS / 12

Found = TypeVar("Found")


def wait_until(
    condition: Callable[[], Found | None],
    seconds: float = PATIENCE_SECONDS,
    describe: Callable[[], object] | None = None,
) -> Found:
    """Call ``condition`` again and again until its result is true, and return that result.

    Raises:
        AssertionError: it was still false after ``seconds``; the message ends with what ``describe`` returns.
    """
    began = time.monotonic()
    while not (found := condition()):
        time.sleep(_choose_pause(began, seconds, describe))
    return found


async def wait_until_async(
    condition: Callable[[], object],
    seconds: float = PATIENCE_SECONDS,
    describe: Callable[[], object] | None = None,
) -> None:
    """Do the same as :func:`wait_until` in a task, with other tasks of the event loop running meanwhile.

    A result that can be awaited is awaited; the condition is what that gives.
    """
    began = time.monotonic()
    while True:
        result = condition()
        if await result if inspect.isawaitable(result) else result:
            return
        await asyncio.sleep(_choose_pause(began, seconds, describe))


def _choose_pause(began: float, seconds: float, describe: Callable[[], object] | None) -> float:
    """Return the time until the next poll; fail if ``seconds`` have passed since ``began``."""
    passed = time.monotonic() - began
    if passed > seconds:
        description = "" if describe is None else f" {describe()}"
        raise AssertionError(f"The condition was still false after {seconds:g} s.{description}")
    return min(max(MIN_POLL_SECONDS, passed / 10), MAX_POLL_SECONDS)


def pause(seconds: float) -> None:
    """Let time pass where that is what a test injects: a slow peer, a limited rate, a random moment of a kill.

    Also between the requests of a load. Never in the hope that something has happened meanwhile, or to show that
    nothing happens: wait for a condition, or for a later event.
    """
    time.sleep(seconds)


async def pause_async(seconds: float) -> None:
    """Do the same as :func:`pause` in a task."""
    await asyncio.sleep(seconds)
