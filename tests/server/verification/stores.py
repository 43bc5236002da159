"""A real store on a bad day."""

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

from modelyard.server.storage.blob_store import Stored, StoredKey, StoreUnavailable
from modelyard.server.storage.local import LocalStore

STALL_SECONDS = 20.0


class ErringStore(LocalStore):
    """The folder of another store. Reads for some teams stand still until they are let go, or fail; or it is away."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, secrets.token_bytes(32))
        self.close()
        self.stalling = set[str]()
        self.failing = set[str]()
        self.is_away = False
        self.standing = threading.Semaphore(0)
        self.let_go = threading.Event()

    def stored(self, key: str) -> Stored | None:
        if self.is_away:
            raise StoreUnavailable("The store does not answer.")
        return super().stored(key)

    def keys(self, prefix: str) -> Iterator[StoredKey]:
        if self.is_away:
            raise StoreUnavailable("The store does not answer.")
        return super().keys(prefix)

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        team = key.split("/")[1]
        if team in self.stalling:
            self.standing.release()
            self.let_go.wait(STALL_SECONDS)
        if self.is_away or team in self.failing:
            raise StoreUnavailable("The store broke off.")
        return super().read(key, start, length, version)
