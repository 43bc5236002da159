"""Per-team limits on concurrent storage calls (bulkhead pattern).

A store that stalls for one team must not use up the threads that serve all teams.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.thread_places import ThreadPlaces
from modelyard.server.fairness.usage import Limits
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

# Each call holds a thread of an operation. Calls beyond the limits wait briefly, and beyond the queue fail at once.
RUNNING, QUEUE = Limits(30, per_person=8, per_team=8), Limits(12, per_person=4, per_team=4)
QUEUE_SECONDS = 2.0


def build_call_places(
    running: Limits = RUNNING, queue: Limits = QUEUE, queue_seconds: float = QUEUE_SECONDS
) -> ThreadPlaces:
    """Build the places of storage calls; a call that gets none raises ``StoreUnavailable``."""
    detail = "The store is slow, and too many requests are waiting for it. Try again."
    return ThreadPlaces(running, queue_seconds, partial(StoreUnavailable, detail), queue)


class BulkheadStore:
    """A ``BlobStore`` whose calls for one key are limited per team.

    Not limited are signing, waiting for a digest, listings of keys and open uploads, and the probe.
    """

    def __init__(self, store: BlobStore, places: ThreadPlaces | None = None) -> None:
        self._store = store
        self._places = places or build_call_places()

    def _limit(self, key: str) -> AbstractContextManager[float]:
        """Return a context that holds a place for one call of the key's team; see ``build_call_places``."""
        return self._places.hold(Account(team=key.split("/")[1]))

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
