"""Waiting for what other threads, tasks or processes bring about.

A bound only ends a test that hangs: it is no statement about speed. ``MODELYARD_TEST_PATIENCE`` multiplies all bounds,
for machines that do other things beside the tests.
"""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final

PATIENCE_SECONDS: Final = 60.0 * float(os.environ.get("MODELYARD_TEST_PATIENCE", "1"))
POLL_SECONDS: Final = 0.01


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Call ``condition`` every 10 ms until its result is true.

    Raises:
        AssertionError: it was still false after ``seconds``.
    """
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"The condition was still false after {seconds:g} s."
        time.sleep(POLL_SECONDS)


async def wait_until_async(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Do the same as :func:`wait_until` in a task, with other tasks of the event loop running meanwhile."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"The condition was still false after {seconds:g} s."
        await asyncio.sleep(POLL_SECONDS)
