"""Places for threads."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.places import Entry, Places
from modelyard.server.fairness.usage import UNLIMITED, Limits


class ThreadPlaces:
    """Places that threads hold; one that gets none blocks for up to ``seconds``.

    ``build_refusal`` builds what is raised for a thread that gets no place.
    """

    def __init__(
        self, places: Limits, seconds: float, build_refusal: Callable[[], Exception], queue: Limits = UNLIMITED
    ) -> None:
        self.places, self._seconds, self._build_refusal = Places(places, queue), seconds, build_refusal
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, account: Account) -> Iterator[float]:
        """Hold a place for the duration of the block; yield how many of the ``seconds`` are left.

        Raises ``build_refusal`` if no place becomes free in time, or too many threads of the account wait.
        """
        deadline = time.monotonic() + self._seconds
        entry = self._enter(account)
        try:
            yield max(0.0, deadline - time.monotonic())
        finally:
            with self._lock:
                self.places.leave(entry)

    def _enter(self, account: Account) -> Entry:
        """Return the entry of a thread once it has a place; raises as ``hold``."""
        granted = threading.Lock()
        granted.acquire()
        with self._lock:
            entry = self.places.enter(account, granted.release)
        if entry is None:
            raise self._build_refusal()
        if entry.has_place() or granted.acquire(timeout=self._seconds):
            return entry
        with self._lock:
            # A place may have been given at this moment.
            if entry.has_place():
                return entry
            self.places.leave(entry)
        raise self._build_refusal()
