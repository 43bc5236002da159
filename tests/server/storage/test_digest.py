"""Digests of stored objects, read in several ranges at once."""

import hashlib
import secrets
from collections.abc import Iterator

import pytest
from blake3 import blake3

from modelyard.server.storage.blob_store import Digest, StoreUnavailable
from modelyard.server.storage.digest import RANGE_BYTES, ObjectHasher, ReadStopped
from modelyard.server.storage.local.store import LocalStore
from tests.server.storage.served_store import ServedStore


def stored(store: LocalStore, key: str, content: bytes) -> None:
    writing = store.open_whole_writer(key, len(content), None)
    writing.write([content])
    writing.commit()


class ShortStore(LocalStore):
    """A folder store whose reads end early, at byte ``ends``."""

    ends = 0

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        return super().read(key, start, max(min(length, self.ends - start), 0), version)


@pytest.mark.parametrize("size", [1, RANGE_BYTES - 1, RANGE_BYTES, RANGE_BYTES + 1, 6 * RANGE_BYTES + 5])
def test_compute_digest_any_object_size_covers_whole_object(own: ServedStore, store: LocalStore, size: int) -> None:
    content, key = secrets.token_bytes(1 << 16) * (size >> 16) + secrets.token_bytes(size % (1 << 16)), own.new_key()
    stored(store, key, content)
    hasher = ObjectHasher(store, key, size, None)
    assert hasher.compute_digest() == Digest(hashlib.sha256(content).hexdigest(), blake3(content).hexdigest())
    assert hasher.bytes_read == size


@pytest.mark.parametrize("size", [1000, 3 * RANGE_BYTES])
def test_compute_digest_object_shorter_than_declared_raises(own: ServedStore, store: LocalStore, size: int) -> None:
    key = own.new_key()
    stored(store, key, bytes(size))
    short = ShortStore(store.folder.root, b"x" * 32)
    short.ends = size - 1
    with pytest.raises(StoreUnavailable):
        ObjectHasher(short, key, size, None).compute_digest()
    short.close()


def test_compute_digest_stopped_ends_at_next_piece(own: ServedStore, store: LocalStore) -> None:
    key = own.new_key()
    stored(store, key, bytes(3 * RANGE_BYTES))
    hasher = ObjectHasher(store, key, 3 * RANGE_BYTES, None)
    with pytest.raises(ReadStopped):
        hasher.compute_digest(lambda _length: hasher.stop())
    assert hasher.bytes_read < RANGE_BYTES


def test_compute_digest_calls_on_range_for_every_byte(own: ServedStore, store: LocalStore) -> None:
    key, range_lengths = own.new_key(), list[int]()
    stored(store, key, bytes(2 * RANGE_BYTES + 7))
    ObjectHasher(store, key, 2 * RANGE_BYTES + 7, None).compute_digest(range_lengths.append)
    assert range_lengths == [RANGE_BYTES, RANGE_BYTES, 7]
