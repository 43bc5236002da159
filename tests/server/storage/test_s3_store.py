"""What a bucket adds to the promise of every store: versions, copies in ranges, others' objects, long lists."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.server.storage.blob_store import (
    KeyTaken,
    NamedPart,
    NoSuchUpload,
    OtherVersion,
    PartsWrong,
    StoreUnavailable,
)
from modelyard.server.storage.s3 import S3Store
from tests.rclone import RunningRclone
from tests.seaweed import RunningSeaweed
from tests.server.storage.place import Place, bucket_in, noise

PART = 5 << 20


@pytest.fixture(params=["seaweed", "rclone"])
def bucket_place(request: pytest.FixtureRequest) -> Place:
    found = request.getfixturevalue(f"{request.param}_place")
    assert isinstance(found, Place)
    return found


def write_over(place: Place, key: str, body: bytes) -> None:
    """What somebody with the bucket's own keys can do, and on some stores somebody with an upload URL."""
    assert isinstance(place.store, S3Store)
    place.store.connections.client.put_object(Bucket=place.store.bucket.name, Key=place.store.name_of(key), Body=body)


def test_other_bytes_under_a_key_are_not_taken_for_the_first(bucket_place: Place) -> None:
    key, to, store = bucket_place.new_key(), bucket_place.new_key("served"), bucket_place.store
    bucket_place.put(key, b"first")
    stored = store.stored(key)
    assert stored is not None
    assert b"".join(store.read(key, 0, 5, stored.version)) == b"first"
    write_over(bucket_place, key, b"other")
    with pytest.raises(OtherVersion):
        store.read(key, 0, 5, stored.version)
    with pytest.raises(OtherVersion):
        store.copy(key, to, stored.version)
    assert store.stored(to) is None


def test_a_copy_in_ranges_has_the_same_bytes(seaweed_place: Place) -> None:
    assert isinstance(seaweed_place.store, S3Store)
    store = S3Store(seaweed_place.store.bucket, most_copied_at_once=PART)
    key, to, body = seaweed_place.new_key(), seaweed_place.new_key("served"), noise(2 * PART + 7)
    assert seaweed_place.put(key, body).status == 200
    store.copy(key, to)
    assert hashlib.sha256(seaweed_place.content(to)).digest() == hashlib.sha256(body).digest()


def test_a_store_that_copies_no_ranges_is_found_out(rclone_place: Place) -> None:
    assert isinstance(rclone_place.store, S3Store)
    store = S3Store(rclone_place.store.bucket, most_copied_at_once=PART)
    key, to = rclone_place.new_key(), rclone_place.new_key("served")
    rclone_place.put(key, noise(2 * PART))
    with pytest.raises(StoreUnavailable, match="does not copy ranges"):
        store.copy(key, to)
    assert store.stored(to) is None


def test_a_copy_in_ranges_that_fails_leaves_nothing(seaweed_place: Place) -> None:
    assert isinstance(seaweed_place.store, S3Store)
    # A bucket takes no part below 5 MiB, so these cannot be put together.
    store = S3Store(seaweed_place.store.bucket, most_copied_at_once=1 << 20)
    key, to = seaweed_place.new_key(), seaweed_place.new_key("served")
    seaweed_place.put(key, noise(3 << 20))
    with pytest.raises(StoreUnavailable, match="EntityTooSmall"):
        store.copy(key, to)
    assert store.stored(to) is None
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert to not in {found.key for found in store.open_uploads(soon)}


def test_wrong_parts_are_named(seaweed_place: Place) -> None:
    key, store = seaweed_place.new_key(), seaweed_place.store
    upload = store.start(key, 3 * PART, PART)
    one, three = (seaweed_place.put_part(key, upload, n, noise(PART)) for n in (1, 3))
    with pytest.raises(PartsWrong) as refused:
        store.finish(key, upload, [one, NamedPart(3, one.etag), NamedPart(5, three.etag)])
    assert refused.value.facts == {"missing": [2, 4, 5], "stale": [3], "unexpected": [5]}


def test_a_part_that_is_too_small_is_refused(seaweed_place: Place) -> None:
    key, store = seaweed_place.new_key(), seaweed_place.store
    upload = store.start(key, 20, 10)
    named = [seaweed_place.put_part(key, upload, n, noise(10)) for n in (1, 2)]
    with pytest.raises(PartsWrong):
        store.finish(key, upload, named)
    assert store.stored(key) is None


def test_a_key_that_was_written_whole_is_not_finished_in_parts(seaweed_place: Place) -> None:
    key, store = seaweed_place.new_key(), seaweed_place.store
    upload = store.start(key, 5, PART)
    named = [seaweed_place.put_part(key, upload, 1, b"parts")]
    seaweed_place.put(key, b"whole")
    with pytest.raises(KeyTaken):
        store.finish(key, upload, named)
    with pytest.raises(KeyTaken):
        store.start(key, 5, PART)
    assert seaweed_place.content(key) == b"whole"


def test_finish_of_other_parts_after_success_is_no_success(seaweed_place: Place) -> None:
    key, store = seaweed_place.new_key(), seaweed_place.store
    upload = store.start(key, 5, PART)
    named = [seaweed_place.put_part(key, upload, 1, b"parts")]
    store.finish(key, upload, named)
    other = [NamedPart(1, '"0123456789abcdef0123456789abcdef"')]
    with pytest.raises(NoSuchUpload):
        store.finish(key, upload, other)
    with pytest.raises(NoSuchUpload):
        store.finish(key, upload, [*named, *named])


@pytest.fixture
def own(seaweed_server: RunningSeaweed, bucket: str) -> Place:
    """A prefix that nobody else writes to."""
    prefix = f"own-{noise(4).hex()}"
    return Place(S3Store(bucket_in(seaweed_server, bucket, prefix)), seaweed_server.port, PART)


def test_what_others_keep_under_the_prefix_is_not_listed(own: Place) -> None:
    assert isinstance(own.store, S3Store)
    client, bucket = own.store.connections.client, own.store.bucket
    for name in ("README.md", "models/notes.txt", "models/A/B"):
        client.put_object(Bucket=bucket.name, Key=bucket.name_of(name), Body=b"others'")
    client.create_multipart_upload(Bucket=bucket.name, Key=bucket.name_of("backup.tar"))
    key = own.new_key()
    own.put(key, b"ours")
    assert [found.key for found in own.store.keys("")] == [key]
    assert list(own.store.open_uploads(datetime.now(UTC) + timedelta(minutes=1))) == []


def test_lists_go_on_past_their_first_page(own: Place) -> None:
    assert isinstance(own.store, S3Store)
    keys = {own.new_key() for _ in range(5)}
    for key in keys:
        own.put(key, b"bytes")
    uploads = {own.store.start(own.new_key(), 5, PART) for _ in range(5)}
    client = own.store.connections.client
    asked = list[str]()
    # The store is asked for pages of two; by itself it makes a page of a thousand.
    for operation, most in (("ListObjectsV2", "MaxKeys"), ("ListMultipartUploads", "MaxUploads")):
        client.meta.events.register(
            f"before-parameter-build.s3.{operation}", lambda params, most=most, **_: params.setdefault(most, 2)
        )
        client.meta.events.register(f"before-call.s3.{operation}", lambda model, **_: asked.append(model.name))
    assert {found.key for found in own.store.keys("models/")} == keys
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert {found.upload for found in own.store.open_uploads(soon)} == uploads
    assert asked == ["ListObjectsV2"] * 3 + ["ListMultipartUploads"] * 3


def test_a_bucket_without_a_prefix_works_alike(rclone: RunningRclone) -> None:
    with rclone.bucket() as name:
        place = Place(S3Store(bucket_in(rclone, name)), rclone.port)
        key = place.new_key()
        assert place.put(key, b"bytes").status == 200
        assert [found.key for found in place.store.keys("models/")] == [key]
        assert place.content(key) == b"bytes"


def test_nobody_can_tell_how_much_a_bucket_takes(seaweed_place: Place) -> None:
    assert seaweed_place.store.free_bytes() is None
