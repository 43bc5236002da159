"""Walls between teams: a store that stalls for one of them must not use up the threads that serve all."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta

from modelyard.server.storage.blob_store import (
    BlobStore,
    Digest,
    Honesty,
    NamedPart,
    OpenUpload,
    SignedRequest,
    Stored,
    StoredKey,
    StoredPart,
    StoreUnavailable,
)

# Of the 40 threads that answer requests. A team's further calls wait a moment in its own queue, and are then refused.
AT_ONCE = 8
QUEUED = 8
IN_ALL = 30
PATIENCE_SECONDS = 2.0


class Turnstile:
    """Lets a few callers of each team pass at a time."""

    def __init__(
        self, *, at_once: int = AT_ONCE, queued: int = QUEUED, in_all: int = IN_ALL, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._at_once, self._room, self._in_all = at_once, at_once + queued, in_all
        self._patience = patience
        self._left = threading.Condition()
        self._passing = Counter[str]()
        self._here = Counter[str]()

    @contextmanager
    def passing(self, team: str) -> Iterator[None]:
        """The time of one call for this team.

        Raises:
            StoreUnavailable: too many of the team's calls, or of all teams', are under way already.
        """
        self._enter(team)
        try:
            yield
        finally:
            with self._left:
                self._passing[team] -= 1
                self._forget(team)
                self._left.notify_all()

    def _enter(self, team: str) -> None:
        with self._left:
            if self._here[team] >= self._room or self._here.total() >= self._in_all:
                raise StoreUnavailable("The store is slow, and too many requests wait for it already. Try again.")
            self._here[team] += 1
            if not self._left.wait_for(lambda: self._passing[team] < self._at_once, self._patience):
                self._forget(team)
                raise StoreUnavailable("The store is slow: this team's requests wait for it. Try again.")
            self._passing[team] += 1

    def _forget(self, team: str) -> None:
        """One caller less; a team without callers takes no memory."""
        self._here[team] -= 1
        if not self._here[team]:
            del self._here[team], self._passing[team]


class WalledStore:
    """A ``BlobStore`` whose calls over the network pass a turnstile; signing is no such call."""

    def __init__(self, store: BlobStore, turnstile: Turnstile | None = None) -> None:
        self._store = store
        self._turnstile = turnstile or Turnstile()

    def _turn(self, key: str) -> AbstractContextManager[None]:
        return self._turnstile.passing(key.split("/")[1])

    def put_request(self, key: str, size: int, sha256: str | None, expires: timedelta) -> SignedRequest:
        return self._store.put_request(key, size, sha256, expires)

    def part_request(self, key: str, upload: str, number: int, size: int, expires: timedelta) -> SignedRequest:
        return self._store.part_request(key, upload, number, size, expires)

    def download_request(self, key: str, file_name: str, sha256: str, expires: timedelta) -> SignedRequest:
        return self._store.download_request(key, file_name, sha256, expires)

    def free_bytes(self) -> int | None:
        return self._store.free_bytes()

    def whole_bytes(self) -> int | None:
        return self._store.whole_bytes()

    def start(self, key: str, size: int, part_size: int) -> str:
        with self._turn(key):
            return self._store.start(key, size, part_size)

    def parts(self, key: str, upload: str) -> list[StoredPart]:
        with self._turn(key):
            return self._store.parts(key, upload)

    def finish(self, key: str, upload: str, parts: Sequence[NamedPart]) -> None:
        with self._turn(key):
            self._store.finish(key, upload, parts)

    def abort(self, key: str, upload: str) -> None:
        with self._turn(key):
            self._store.abort(key, upload)

    def stored(self, key: str) -> Stored | None:
        with self._turn(key):
            return self._store.stored(key)

    def wait_digest(self, key: str, timeout_seconds: float) -> Digest | None:
        return self._store.wait_digest(key, timeout_seconds)

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        with self._turn(key):
            pieces = self._store.read(key, start, length, version)
        return self._taking_turns(key, pieces)

    def _taking_turns(self, key: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        with self._turn(key):
            yield from pieces

    def copy(self, key: str, to: str, version: str | None = None) -> None:
        with self._turn(key):
            self._store.copy(key, to, version)

    def delete(self, key: str) -> None:
        with self._turn(key):
            self._store.delete(key)

    def keys(self, prefix: str) -> Iterator[StoredKey]:
        return self._store.keys(prefix)

    def open_uploads(self, before: datetime) -> Iterator[OpenUpload]:
        return self._store.open_uploads(before)

    def probe(self) -> Honesty:
        return self._store.probe()
