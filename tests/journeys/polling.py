"""Polling for a condition that other processes or threads bring about."""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Call ``condition`` every 20 ms until it returns True.

    Raises:
        AssertionError: it was still False after ``seconds``.
    """
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"The condition was still false after {seconds:g} s."
        time.sleep(0.02)
