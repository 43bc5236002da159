"""Per-team limits on concurrent storage calls (bulkhead pattern).

A store that stalls for one team must not use up the threads that serve all teams.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta

from modelyard.server.storage.blob_store import (
    BlobStore,
    Capabilities,
    Digest,
    NamedPart,
    OpenUpload,
    SignedRequest,
    StoredKey,
    StoredObject,
    StoredPart,
    StoreUnavailable,
)
from modelyard.server.storage.url_server import UrlServer

# Shares of the 40 threads that serve requests. Calls beyond a team's limit wait briefly in its queue, then fail.
MAX_RUNNING = 8
MAX_QUEUED = 8
MAX_TOTAL = 30
QUEUE_TIMEOUT_SECONDS = 2.0


class TeamLimiter:
    """A limit on the concurrent calls of each team and of all teams together."""

    def __init__(
        self,
        *,
        max_running: int = MAX_RUNNING,
        max_queued: int = MAX_QUEUED,
        max_total: int = MAX_TOTAL,
        queue_timeout_seconds: float = QUEUE_TIMEOUT_SECONDS,
    ) -> None:
        self._max_running, self._capacity, self._max_total = max_running, max_running + max_queued, max_total
        self._queue_timeout_seconds = queue_timeout_seconds
        self._released = threading.Condition()
        self._running = Counter[str]()
        self._admitted = Counter[str]()

    @contextmanager
    def acquire(self, team: str) -> Iterator[None]:
        """Hold one of the team's calls for the duration of the context.

        If the team is at its limit, wait in its queue for up to ``queue_timeout_seconds``.

        Raises:
            StoreUnavailable: the wait took longer, or too many calls of the team, or of all teams, run or wait.
        """
        self._acquire(team)
        try:
            yield
        finally:
            with self._released:
                self._running[team] -= 1
                self._remove(team)
                self._released.notify_all()

    def _acquire(self, team: str) -> None:
        """Wait until the team has a free call, and take it; raises as ``acquire``."""
        with self._released:
            if self._admitted[team] >= self._capacity or self._admitted.total() >= self._max_total:
                raise StoreUnavailable("The store is slow and too many requests are waiting for it. Try again.")
            self._admitted[team] += 1
            if not self._released.wait_for(
                lambda: self._running[team] < self._max_running, self._queue_timeout_seconds
            ):
                self._remove(team)
                raise StoreUnavailable("The store is slow, and your team's requests are waiting for it. Try again.")
            self._running[team] += 1

    def _remove(self, team: str) -> None:
        """Count one admitted call less, and drop the counters of a team without any. The caller holds the lock."""
        self._admitted[team] -= 1
        if not self._admitted[team]:
            del self._admitted[team], self._running[team]


class BulkheadStore:
    """A ``BlobStore`` whose calls for one key are limited per team.

    Not limited are signing, waiting for a digest, listings of keys and open uploads, and the probe.
    """

    def __init__(self, store: BlobStore, limiter: TeamLimiter | None = None) -> None:
        self._store = store
        self._limiter = limiter or TeamLimiter()

    def _limit(self, key: str) -> AbstractContextManager[None]:
        """Return a context that holds one call of the key's team; see ``TeamLimiter.acquire``."""
        return self._limiter.acquire(key.split("/")[1])

    def presign_put(self, key: str, size: int, sha256: str | None, expires: timedelta) -> SignedRequest:
        return self._store.presign_put(key, size, sha256, expires)

    def presign_part(self, key: str, upload: str, number: int, size: int, expires: timedelta) -> SignedRequest:
        return self._store.presign_part(key, upload, number, size, expires)

    def presign_download(self, key: str, file_name: str, sha256: str, expires: timedelta) -> SignedRequest:
        return self._store.presign_download(key, file_name, sha256, expires)

    def get_free_bytes(self) -> int | None:
        return self._store.get_free_bytes()

    def get_total_bytes(self) -> int | None:
        return self._store.get_total_bytes()

    def put(self, key: str, content: bytes) -> None:
        with self._limit(key):
            self._store.put(key, content)

    def start_multipart(self, key: str, size: int, part_size: int) -> str:
        with self._limit(key):
            return self._store.start_multipart(key, size, part_size)

    def resize_multipart(self, key: str, upload: str, size: int) -> None:
        with self._limit(key):
            self._store.resize_multipart(key, upload, size)

    def put_part(self, key: str, upload: str, number: int, content: bytes) -> str:
        with self._limit(key):
            return self._store.put_part(key, upload, number, content)

    def list_parts(self, key: str, upload: str) -> list[StoredPart]:
        with self._limit(key):
            return self._store.list_parts(key, upload)

    def finish_multipart(self, key: str, upload: str, parts: Sequence[NamedPart]) -> None:
        with self._limit(key):
            self._store.finish_multipart(key, upload, parts)

    def abort_multipart(self, key: str, upload: str) -> None:
        with self._limit(key):
            self._store.abort_multipart(key, upload)

    def stat(self, key: str) -> StoredObject | None:
        with self._limit(key):
            return self._store.stat(key)

    def stat_quickly(self, key: str) -> StoredObject | None:
        with self._limit(key):
            return self._store.stat_quickly(key)

    @property
    def hashes_uploads(self) -> bool:
        return self._store.hashes_uploads

    def wait_for_digest(self, key: str, timeout_seconds: float) -> Digest | None:
        return self._store.wait_for_digest(key, timeout_seconds)

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        """Read as ``BlobStore.read``; the team's limit can also refuse at the first piece."""
        with self._limit(key):
            pieces = self._store.read(key, start, length, version)
        return self._read_pieces(key, pieces)

    def _read_pieces(self, key: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the pieces; from the first one until the iterator ends or is closed, hold one call of the team."""
        with self._limit(key):
            yield from pieces

    def copy(self, key: str, to: str, version: str | None = None) -> None:
        with self._limit(key):
            self._store.copy(key, to, version)

    def delete(self, key: str) -> None:
        with self._limit(key):
            self._store.delete(key)

    def list_keys(self, prefix: str) -> Iterator[StoredKey]:
        return self._store.list_keys(prefix)

    def list_open_uploads(self, before: datetime) -> Iterator[OpenUpload]:
        return self._store.list_open_uploads(before)

    def probe(self) -> Capabilities:
        return self._store.probe()

    @property
    def is_remote(self) -> bool:
        return self._store.is_remote

    @property
    def public_origin(self) -> str | None:
        return self._store.public_origin

    def get_url_server(self) -> UrlServer | None:
        return self._store.get_url_server()
