"""Waiting for something that real processes will do."""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Poll until it is true.

    Raises:
        AssertionError: it did not become true in time.
    """
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "It did not happen in time."
        time.sleep(0.02)
