"""Both digests of a stored object, read in stretches at once."""

import hashlib
import secrets
from collections.abc import Iterator

import pytest
from blake3 import blake3

from modelyard.server.storage.blob_store import Digest, StoreUnavailable
from modelyard.server.storage.digest import STRETCH, Reading, Stopped
from modelyard.server.storage.local import LocalStore
from tests.server.storage.place import Place


def stored(store: LocalStore, key: str, content: bytes) -> None:
    writing = store.write_whole(key, len(content), None)
    writing.write([content])
    writing.commit()


class ShortStore(LocalStore):
    """A folder whose reads end before they should, past some byte."""

    ends = 0

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        return super().read(key, start, max(min(length, self.ends - start), 0), version)


@pytest.mark.parametrize("size", [1, STRETCH - 1, STRETCH, STRETCH + 1, 6 * STRETCH + 5])
def test_it_is_that_of_the_whole_object_whatever_its_size(own: Place, store: LocalStore, size: int) -> None:
    content, key = secrets.token_bytes(1 << 16) * (size >> 16) + secrets.token_bytes(size % (1 << 16)), own.new_key()
    stored(store, key, content)
    reading = Reading(store, key, size, None)
    assert reading.digest() == Digest(hashlib.sha256(content).hexdigest(), blake3(content).hexdigest())
    assert reading.count == size


@pytest.mark.parametrize("size", [1000, 3 * STRETCH])
def test_an_object_that_ends_early_has_no_digest(own: Place, store: LocalStore, size: int) -> None:
    key = own.new_key()
    stored(store, key, bytes(size))
    short = ShortStore(store.folder.root, b"x" * 32)
    short.ends = size - 1
    with pytest.raises(StoreUnavailable):
        Reading(short, key, size, None).digest()
    short.close()


def test_a_reading_that_is_stopped_ends_at_its_next_piece(own: Place, store: LocalStore) -> None:
    key = own.new_key()
    stored(store, key, bytes(3 * STRETCH))
    reading = Reading(store, key, 3 * STRETCH, None)
    with pytest.raises(Stopped):
        reading.digest(lambda _length: reading.stop())
    assert reading.count < STRETCH


def test_whoever_paces_it_hears_of_every_byte(own: Place, store: LocalStore) -> None:
    key, heard = own.new_key(), list[int]()
    stored(store, key, bytes(2 * STRETCH + 7))
    Reading(store, key, 2 * STRETCH + 7, None).digest(heard.append)
    assert heard == [STRETCH, STRETCH, 7]
