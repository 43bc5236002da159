"""Byte ranges of a stored object, and a check that the store answers."""

from modelyard.server.storage.blob_store import BlobStore

# The checks of a file's content read parts of its head several times: all of them with one request. Most headers fit.
HEAD_BYTES = 64 * 1024


class ObjectRangeReader:
    """One version of one object, read in byte ranges by the content checks. For one thread."""

    def __init__(self, store: BlobStore, key: str, size: int, version: str | None = None) -> None:
        self.size = size
        self._store, self._key, self._version = store, key, version
        self._head: bytes | None = None

    def read(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``; fewer only at the end. Errors of the store pass through.

        The first ``HEAD_BYTES`` are requested once and kept.
        """
        if min(start + length, self.size) > HEAD_BYTES:
            return self._request(start, length)
        if self._head is None:
            self._head = self._request(0, min(HEAD_BYTES, self.size))
        return self._head[start : start + length]

    def _request(self, start: int, length: int) -> bytes:
        return b"".join(self._store.read(self._key, start, length, self._version))


def check_store_answers(store: BlobStore) -> None:
    """Check that the store answers, with a listing, which does not depend on one object.

    Raises:
        StoreUnavailable: the store does not answer, or is missing.
    """
    next(iter(store.list_keys("probe/")), None)
