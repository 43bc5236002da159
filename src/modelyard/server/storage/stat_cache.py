"""A cache of recent stat results of a store, so that many callers cost it one request."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from modelyard.server.storage.blob_store import BlobStore, StoredObject, StoreError

CACHE_SECONDS = 60.0
MAX_ENTRIES = 10_000
# After a failure, requests for the same team fail at once for so long: the next caller would only wait as well.
RETRY_PAUSE_SECONDS = 10.0


class StatUnavailable(Exception):
    """The store did not answer a stat request in time."""


class StatCache:
    """A cache of ``BlobStore.stat_quickly``, by default for a minute; missing objects are cached too. Thread-safe.

    Holds at most ``MAX_ENTRIES`` results. Errors are not cached; after one, the team's other requests fail for ten
    seconds.
    """

    def __init__(
        self, store: BlobStore, *, cache_seconds: float = CACHE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[float, Future[StoredObject | None]]] = OrderedDict()
        self._paused_until: dict[str, float] = {}

    def stat(self, key: str) -> StoredObject | None:
        """Return the object under the key, or None, from store or cache; concurrent callers share one request.

        Raises:
            StatUnavailable: the request failed, or the result is not cached and a request of this team failed within
                the last ten seconds.
        """
        answer, is_new = self._find_or_create_entry(key)
        if is_new:
            self._request_stat(key, answer)
        try:
            return answer.result()
        except (StoreError, OSError) as error:
            raise StatUnavailable(str(error)) from error

    def invalidate(self, key: str) -> None:
        """Drop the cached result of a key, so that the next call asks the store."""
        with self._lock:
            self._entries.pop(key, None)

    def _find_or_create_entry(self, key: str) -> tuple["Future[StoredObject | None]", bool]:
        """Return a key's entry, perhaps still pending, and False.

        Or store a new one, which the caller must fill, and True. Above ``MAX_ENTRIES`` the oldest entry is dropped.

        Raises:
            StatUnavailable: the team's last request failed less than ten seconds ago.
        """
        now, team = self._clock(), _parse_team(key)
        with self._lock:
            expires_at, answer = self._entries.get(key, (0.0, None))
            if answer is not None and now < expires_at:
                return answer, False
            if now < self._paused_until.get(team, 0.0):
                raise StatUnavailable("The store did not answer a recent request.")
            self._paused_until.pop(team, None)
            answer = Future()
            self._entries[key] = (now + self._cache_seconds, answer)
            self._entries.move_to_end(key)
            if len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)
            return answer, True

    def _request_stat(self, key: str, answer: "Future[StoredObject | None]") -> None:
        """Request the object and set the result or error of ``answer``; an error also pauses the team."""
        try:
            answer.set_result(self._store.stat_quickly(key))
        except BaseException as error:  # noqa: BLE001 - other threads wait for this result, whatever the error
            answer.set_exception(error)
            with self._lock:
                self._entries.pop(key, None)
                self._paused_until[_parse_team(key)] = self._clock() + RETRY_PAUSE_SECONDS
                if len(self._paused_until) > MAX_ENTRIES:
                    self._paused_until.pop(next(iter(self._paused_until)))


def _parse_team(key: str) -> str:
    """Return the team's part of a key."""
    return key.split("/")[1]
