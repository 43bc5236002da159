"""A real store with faults that a test switches on."""

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

from modelyard.server.storage.blob_store import StoredKey, StoredObject, StoreFull, StoreUnavailable
from modelyard.server.storage.local.store import LocalStore
from tests.waiting import PATIENCE_SECONDS


class FaultyStore(LocalStore):
    """A store over the folder of another one: reads of some teams stall or fail, nothing responds, or
    its disk is full.

    The next ``stat`` of each key in ``failing_once`` fails.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root, secrets.token_bytes(32))
        self.close()
        self.stalling = set[str]()
        self.failing = set[str]()
        self.failing_once = set[str]()
        self.is_unavailable = False
        self.is_full = False
        self.stalled = threading.Semaphore(0)
        self.release = threading.Event()

    def stat(self, key: str) -> StoredObject | None:
        if self.is_unavailable or key in self.failing_once:
            self.failing_once.discard(key)
            raise StoreUnavailable("The store does not answer.")
        return super().stat(key)

    def list_keys(self, prefix: str) -> Iterator[StoredKey]:
        if self.is_unavailable:
            raise StoreUnavailable("The store does not answer.")
        return super().list_keys(prefix)

    def put(self, key: str, content: bytes) -> None:
        if self.is_full:
            raise StoreFull("The disk is full.")
        super().put(key, content)

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        team = key.split("/")[1]
        if team in self.stalling:
            self.stalled.release()
            self.release.wait(PATIENCE_SECONDS)
        if self.is_unavailable or team in self.failing:
            raise StoreUnavailable("The store broke off.")
        return super().read(key, start, length, version)
