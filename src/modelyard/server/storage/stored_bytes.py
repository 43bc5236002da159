"""Stored bytes for whoever wants a few small pieces of a large file."""

from modelyard.server.storage.blob_store import BlobStore


class StoredBytes:
    """One version of one object, read by ranges as the content checks ask for them."""

    def __init__(self, store: BlobStore, key: str, size: int, version: str | None = None) -> None:
        self.size = size
        self._store, self._key, self._version = store, key, version

    def read(self, start: int, length: int) -> bytes:
        """Up to ``length`` bytes; fewer only at the end. Errors of the store pass through."""
        return b"".join(self._store.read(self._key, start, length, self._version))
