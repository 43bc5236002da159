"""Byte ranges of a stored object, and a check that the store answers."""

from modelyard.server.storage.blob_store import BlobStore


class ObjectRangeReader:
    """One version of one object, read in byte ranges by the content checks."""

    def __init__(self, store: BlobStore, key: str, size: int, version: str | None = None) -> None:
        self.size = size
        self._store, self._key, self._version = store, key, version

    def read(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``; fewer only at the end. Errors of the store pass through."""
        return b"".join(self._store.read(self._key, start, length, self._version))


def check_store_answers(store: BlobStore) -> None:
    """Check that the store answers, with a listing, which does not depend on one object.

    Raises:
        StoreUnavailable: the store does not answer, or is missing.
    """
    next(iter(store.list_keys("probe/")), None)
