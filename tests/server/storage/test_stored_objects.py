"""Ranges, copies, deletions, lists and small objects in every store."""

from datetime import UTC, datetime, timedelta

import pytest

from modelyard.server.storage.blob_store import (
    KeyTaken,
    NoSuchKey,
    validate_key,
)
from tests.server.storage.served_store import HOUR, ServedStore, noise


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=90-", 90, 100),
        ("bytes=-7", 93, 100),
        ("bytes=95-1000", 95, 100),
        ("bytes=-1000", 0, 100),
    ],
)
def test_download_range_returns_exact_bytes(served_store: ServedStore, wanted: str, start: int, end: int) -> None:
    key, body = served_store.new_key(), noise(100)
    served_store.put(key, body)
    answer = served_store.get(key, range=wanted)
    assert (answer.status, answer.body) == (206, body[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100"


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_download_range_outside_file_returns_416(served_store: ServedStore, wanted: str) -> None:
    key = served_store.new_key()
    served_store.put(key, noise(100))
    answer = served_store.get(key, range=wanted)
    assert answer.status == 416


def test_read_any_range_returns_its_bytes(any_served_store: ServedStore) -> None:
    key, body = any_served_store.new_key(), noise(3_000_000)
    any_served_store.put(key, body)
    assert b"".join(any_served_store.store.read(key, 1_000_000, 1_500_000)) == body[1_000_000:2_500_000]
    assert b"".join(any_served_store.store.read(key, 2_999_990, 50)) == body[-10:]
    assert max(len(piece) for piece in any_served_store.store.read(key, 0, 3_000_000)) <= 1 << 20


def test_read_empty_range_or_past_end_returns_nothing(any_served_store: ServedStore) -> None:
    key, empty = any_served_store.new_key(), any_served_store.new_key()
    any_served_store.put(key, b"bytes")
    any_served_store.put(empty, b"")
    assert list(any_served_store.store.read(key, 0, 0)) == []
    assert list(any_served_store.store.read(key, 5, 10)) == []
    assert list(any_served_store.store.read(empty, 0, 10)) == []


def test_delete_twice_succeeds(any_served_store: ServedStore) -> None:
    key = any_served_store.new_key()
    any_served_store.put(key, b"bytes")
    any_served_store.store.delete(key)
    any_served_store.store.delete(key)
    assert any_served_store.store.stat(key) is None
    assert any_served_store.get(key).status == 404


def test_copy_after_source_is_deleted_keeps_bytes(any_served_store: ServedStore) -> None:
    key, to = any_served_store.new_key(), any_served_store.new_key("served")
    any_served_store.put(key, b"bytes")
    any_served_store.store.copy(key, to)
    any_served_store.store.delete(key)
    assert any_served_store.content(to) == b"bytes"


def test_copy_to_used_key_is_refused(any_served_store: ServedStore) -> None:
    key, to = any_served_store.new_key(), any_served_store.new_key("served")
    any_served_store.put(key, b"bytes")
    any_served_store.put(to, b"other")
    with pytest.raises(KeyTaken):
        any_served_store.store.copy(key, to)
    with pytest.raises(NoSuchKey):
        any_served_store.store.copy(any_served_store.new_key(), any_served_store.new_key())
    assert any_served_store.content(to) == b"other"


def test_list_keys_by_prefix_returns_publishing_times(any_served_store: ServedStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    key = any_served_store.new_key()
    any_served_store.put(key, b"bytes")
    team = key.rpartition("/")[0] + "/"
    (found,) = any_served_store.store.list_keys(team)
    assert (found.key, found.size) == (key, 5)
    assert before < found.modified < datetime.now(UTC) + timedelta(seconds=2)
    assert key not in {other.key for other in any_served_store.store.list_keys("served/")}


@pytest.mark.parametrize(
    "key",
    [
        "",
        "../../etc/passwd",
        "/models/{0}/{0}",
        "models/{0}/{0}/",
        "models/{0}/{0}\n",
        "{0}/{0}",
        "MODELS/{0}/{0}",
        "models//{0}",
        "models/{0}/..",
        "models/{0}/%2e%2e",
        "models/{0}/{0}.part",
    ],
)
def test_validate_key_other_form_raises(served_store: ServedStore, key: str) -> None:
    key = key.format("01234567-89ab-cdef-0123-456789abcdef")
    with pytest.raises(ValueError):
        validate_key(key)
    with pytest.raises(ValueError):
        served_store.store.stat(key)
    with pytest.raises(ValueError):
        served_store.store.presign_put(key, 5, None, HOUR)
    with pytest.raises(ValueError):
        served_store.store.delete(key)


def test_probe_capable_store_reports_all_and_leaves_nothing(served_store: ServedStore) -> None:
    assert served_store.store.probe().enforces_all
    assert list(served_store.store.list_keys("probe/")) == []


@pytest.mark.parametrize("size", [1, 100_000, 1_500_000])
def test_put_object_of_server_is_read_and_downloaded(any_served_store: ServedStore, size: int) -> None:
    key, body = any_served_store.new_key(), noise(size)
    any_served_store.store.put(key, body)
    assert b"".join(any_served_store.store.read(key, 0, size)) == body
    assert b"".join(any_served_store.store.read(key, 1, 10)) == body[1:11]
    assert key in {stored.key for stored in any_served_store.store.list_keys(key)}
    any_served_store.store.delete(key)
    assert any_served_store.store.stat(key) is None


def test_put_object_of_server_under_used_key_raises_and_keeps_the_first(any_served_store: ServedStore) -> None:
    key = any_served_store.new_key()
    any_served_store.store.put(key, b"first")
    with pytest.raises(KeyTaken):
        any_served_store.store.put(key, b"second")
    assert any_served_store.content(key) == b"first"
