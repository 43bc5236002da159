"""Count the responses to the requests of a load program, and print the counts when it is asked to end."""

import json
import signal
import threading
from collections import Counter
from typing import Never

NO_RESPONSE = "none"


class ResponseCounts:
    """How many responses had each status; requests whose connection broke count as ``NO_RESPONSE``.

    Safe for threads.
    """

    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._lock = threading.Lock()

    def add(self, status: int | None) -> None:
        """Count one response, or with None a request that got none."""
        with self._lock:
            self._counts[NO_RESPONSE if status is None else str(status)] += 1

    def report_until_terminated(self) -> Never:
        """Print the line that the parent process waits for, and at SIGTERM the counts as JSON; then exit.

        Must run in the main thread; all other threads must be daemons.
        """
        signal.signal(signal.SIGTERM, lambda _number, _frame: self._print_and_exit())
        print("sending", flush=True)
        while True:
            signal.pause()

    def _print_and_exit(self) -> Never:
        # A copy: the lock may be held by a thread that this handler interrupted.
        print(json.dumps(dict(self._counts)), flush=True)
        raise SystemExit(0)
