"""Reads of byte ranges of a stored object, and how many requests to the store they cost."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from modelyard.server.storage.byte_ranges import HEAD_BYTES, ObjectRangeReader
from modelyard.server.storage.local.store import LocalStore
from tests.server.harness import make_model_file

KEY = f"models/{uuid4()}/{uuid4()}"


class RecordingStore(LocalStore):
    """A store over a folder that records the ranges that are read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, b"k" * 32)
        self.ranges: list[tuple[int, int]] = []

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        self.ranges.append((start, length))
        return super().read(key, start, length, version)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordingStore]:
    store = RecordingStore(tmp_path)
    yield store
    store.close()


def test_read_parts_of_the_head_costs_one_request(store: RecordingStore) -> None:
    content = make_model_file("large", 3 * HEAD_BYTES)
    store.put(KEY, content)
    reader = ObjectRangeReader(store, KEY, len(content))
    ranges = [(0, 4096), (0, 9), (8, 72), (HEAD_BYTES - 1, 1), (7, 0)]
    assert [reader.read(*each) for each in ranges] == [content[start : start + length] for start, length in ranges]
    assert store.ranges == [(0, HEAD_BYTES)]


def test_read_beyond_the_head_requests_just_that_range(store: RecordingStore) -> None:
    content = make_model_file("large", 3 * HEAD_BYTES)
    store.put(KEY, content)
    reader = ObjectRangeReader(store, KEY, len(content))
    assert reader.read(8, HEAD_BYTES) == content[8 : 8 + HEAD_BYTES]
    assert reader.read(len(content) - 5, 100) == content[-5:]
    assert store.ranges == [(8, HEAD_BYTES), (len(content) - 5, 100)]


def test_read_small_object_beyond_its_end_returns_what_there_is(store: RecordingStore) -> None:
    store.put(KEY, b"0123456789")
    reader = ObjectRangeReader(store, KEY, 10)
    assert (reader.read(8, 100), reader.read(10, 5), reader.read(0, 4)) == (b"89", b"", b"0123")
    assert store.ranges == [(0, 10)]
