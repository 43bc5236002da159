"""What a bucket store has beyond the interface: versions, copies in ranges, foreign objects, long listings."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.server.storage.blob_store import (
    KeyTaken,
    NamedPart,
    NoSuchUpload,
    PartsWrong,
    StoreUnavailable,
    VersionChanged,
)
from modelyard.server.storage.s3.store import S3Store
from tests.rclone import RunningRclone
from tests.seaweed import RunningSeaweed
from tests.server.storage.served_store import ServedStore, bucket_in, noise

pytestmark = pytest.mark.slow

PART = 5 << 20


@pytest.fixture(params=["seaweed", "rclone"])
def bucket_served_store(request: pytest.FixtureRequest) -> ServedStore:
    found = request.getfixturevalue(f"{request.param}_served_store")
    assert isinstance(found, ServedStore)
    return found


def overwrite_object(served_store: ServedStore, key: str, body: bytes) -> None:
    """Overwrite an object with the bucket's own keys; on some stores an upload URL suffices."""
    assert isinstance(served_store.store, S3Store)
    served_store.store.connections.client.put_object(
        Bucket=served_store.store.bucket.name, Key=served_store.store.get_object_name(key), Body=body
    )


def test_read_with_version_after_overwrite_raises_version_changed(bucket_served_store: ServedStore) -> None:
    key, to, store = bucket_served_store.new_key(), bucket_served_store.new_key("served"), bucket_served_store.store
    bucket_served_store.put(key, b"first")
    stored = store.stat(key)
    assert stored is not None
    assert b"".join(store.read(key, 0, 5, stored.version)) == b"first"
    overwrite_object(bucket_served_store, key, b"other")
    with pytest.raises(VersionChanged):
        store.read(key, 0, 5, stored.version)
    with pytest.raises(VersionChanged):
        store.copy(key, to, stored.version)
    assert store.stat(to) is None


def test_copy_in_ranges_has_same_bytes(seaweed_served_store: ServedStore) -> None:
    assert isinstance(seaweed_served_store.store, S3Store)
    store = S3Store(seaweed_served_store.store.bucket, max_copy_bytes=PART)
    key, to, body = seaweed_served_store.new_key(), seaweed_served_store.new_key("served"), noise(2 * PART + 7)
    assert seaweed_served_store.put(key, body).status == 200
    store.copy(key, to)
    assert hashlib.sha256(seaweed_served_store.content(to)).digest() == hashlib.sha256(body).digest()


def test_copy_in_ranges_unsupported_by_store_raises(rclone_served_store: ServedStore) -> None:
    assert isinstance(rclone_served_store.store, S3Store)
    store = S3Store(rclone_served_store.store.bucket, max_copy_bytes=PART)
    key, to = rclone_served_store.new_key(), rclone_served_store.new_key("served")
    rclone_served_store.put(key, noise(2 * PART))
    with pytest.raises(StoreUnavailable, match="does not copy ranges"):
        store.copy(key, to)
    assert store.stat(to) is None


def test_copy_in_ranges_failed_leaves_nothing(seaweed_served_store: ServedStore) -> None:
    assert isinstance(seaweed_served_store.store, S3Store)
    # A bucket takes no part below 5 MiB, so these cannot be put together.
    store = S3Store(seaweed_served_store.store.bucket, max_copy_bytes=1 << 20)
    key, to = seaweed_served_store.new_key(), seaweed_served_store.new_key("served")
    seaweed_served_store.put(key, noise(3 << 20))
    with pytest.raises(StoreUnavailable, match="EntityTooSmall"):
        store.copy(key, to)
    assert store.stat(to) is None
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert to not in {found.key for found in store.list_open_uploads(soon)}


def test_finish_multipart_wrong_parts_returns_their_numbers(seaweed_served_store: ServedStore) -> None:
    key, store = seaweed_served_store.new_key(), seaweed_served_store.store
    upload = store.start_multipart(key, 3 * PART, PART)
    one, three = (seaweed_served_store.put_part(key, upload, n, noise(PART)) for n in (1, 3))
    with pytest.raises(PartsWrong) as refused:
        store.finish_multipart(key, upload, [one, NamedPart(3, one.etag), NamedPart(5, three.etag)])
    assert refused.value.facts == {"missing": [2, 4, 5], "stale": [3], "unexpected": [5]}


def test_finish_multipart_part_below_minimum_is_refused(seaweed_served_store: ServedStore) -> None:
    key, store = seaweed_served_store.new_key(), seaweed_served_store.store
    upload = store.start_multipart(key, 20, 10)
    named = [seaweed_served_store.put_part(key, upload, n, noise(10)) for n in (1, 2)]
    with pytest.raises(PartsWrong):
        store.finish_multipart(key, upload, named)
    assert store.stat(key) is None


def test_finish_multipart_key_with_whole_file_raises_key_taken(seaweed_served_store: ServedStore) -> None:
    key, store = seaweed_served_store.new_key(), seaweed_served_store.store
    upload = store.start_multipart(key, 5, PART)
    named = [seaweed_served_store.put_part(key, upload, 1, b"parts")]
    seaweed_served_store.put(key, b"whole")
    with pytest.raises(KeyTaken):
        store.finish_multipart(key, upload, named)
    with pytest.raises(KeyTaken):
        store.start_multipart(key, 5, PART)
    assert seaweed_served_store.content(key) == b"whole"


def test_finish_multipart_other_parts_after_success_raises(seaweed_served_store: ServedStore) -> None:
    key, store = seaweed_served_store.new_key(), seaweed_served_store.store
    upload = store.start_multipart(key, 5, PART)
    named = [seaweed_served_store.put_part(key, upload, 1, b"parts")]
    store.finish_multipart(key, upload, named)
    other = [NamedPart(1, '"0123456789abcdef0123456789abcdef"')]
    with pytest.raises(NoSuchUpload):
        store.finish_multipart(key, upload, other)
    with pytest.raises(NoSuchUpload):
        store.finish_multipart(key, upload, [*named, *named])


@pytest.fixture
def own(seaweed_server: RunningSeaweed, bucket: str) -> ServedStore:
    """A store with a prefix of its own."""
    prefix = f"own-{noise(4).hex()}"
    return ServedStore(S3Store(bucket_in(seaweed_server, bucket, prefix)), seaweed_server.port, PART)


def test_list_keys_foreign_objects_are_not_listed(own: ServedStore) -> None:
    assert isinstance(own.store, S3Store)
    client, bucket = own.store.connections.client, own.store.bucket
    for name in ("README.md", "models/notes.txt", "models/A/B"):
        client.put_object(Bucket=bucket.name, Key=bucket.get_object_name(name), Body=b"others'")
    client.create_multipart_upload(Bucket=bucket.name, Key=bucket.get_object_name("backup.tar"))
    key = own.new_key()
    own.put(key, b"ours")
    assert [found.key for found in own.store.list_keys("")] == [key]
    assert list(own.store.list_open_uploads(datetime.now(UTC) + timedelta(minutes=1))) == []


def test_list_keys_many_objects_returns_all_pages(own: ServedStore) -> None:
    assert isinstance(own.store, S3Store)
    keys = {own.new_key() for _ in range(5)}
    for key in keys:
        own.put(key, b"bytes")
    uploads = {own.store.start_multipart(own.new_key(), 5, PART) for _ in range(5)}
    client = own.store.connections.client
    asked = list[str]()
    # The store is asked for pages of two; by itself it makes a page of a thousand.
    for operation, most in (("ListObjectsV2", "MaxKeys"), ("ListMultipartUploads", "MaxUploads")):
        client.meta.events.register(
            f"before-parameter-build.s3.{operation}", lambda params, most=most, **_: params.setdefault(most, 2)
        )
        client.meta.events.register(f"before-call.s3.{operation}", lambda model, **_: asked.append(model.name))
    assert {found.key for found in own.store.list_keys("models/")} == keys
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert {found.upload for found in own.store.list_open_uploads(soon)} == uploads
    assert asked == ["ListObjectsV2"] * 3 + ["ListMultipartUploads"] * 3


def test_store_without_prefix_reads_and_lists_keys(rclone: RunningRclone) -> None:
    with rclone.bucket() as name:
        served_store = ServedStore(S3Store(bucket_in(rclone, name)), rclone.port)
        key = served_store.new_key()
        assert served_store.put(key, b"bytes").status == 200
        assert [found.key for found in served_store.store.list_keys("models/")] == [key]
        assert served_store.content(key) == b"bytes"


def test_get_free_bytes_of_bucket_returns_none(seaweed_served_store: ServedStore) -> None:
    assert seaweed_served_store.store.get_free_bytes() is None
