"""Multipart uploads in every store."""

import hashlib
import threading
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.server.storage.blob_store import (
    KeyTaken,
    NamedPart,
    NoSuchUpload,
    PartsWrong,
    StoreError,
)
from tests.server.storage.served_store import HOUR, ServedStore, noise
from tests.waiting import PATIENCE_SECONDS


def started(served_store: ServedStore, body: bytes) -> tuple[str, str, list[NamedPart]]:
    """A key, an upload and its parts, all sent."""
    key = served_store.new_key()
    upload = served_store.store.start_multipart(key, len(body), served_store.part_size)
    return key, upload, [served_store.put_part(key, upload, n, served_store.cut(body, n)) for n in (1, 2, 3)]


def test_finish_multipart_parts_sent_in_any_order_make_one_file(any_served_store: ServedStore) -> None:
    body = noise(any_served_store.size)
    key = any_served_store.new_key()
    upload = any_served_store.store.start_multipart(key, any_served_store.size, any_served_store.part_size)
    named = [any_served_store.put_part(key, upload, n, any_served_store.cut(body, n)) for n in (3, 1, 2)]
    assert any_served_store.store.stat(key) is None
    any_served_store.store.finish_multipart(key, upload, sorted(named, key=lambda part: part.number))
    assert any_served_store.content(key) == body


def test_list_parts_open_upload_returns_stored_parts(any_served_store: ServedStore) -> None:
    key = any_served_store.new_key()
    upload = any_served_store.store.start_multipart(key, any_served_store.size, any_served_store.part_size)
    second = any_served_store.put_part(key, upload, 2, noise(any_served_store.part_size))
    listed = any_served_store.store.list_parts(key, upload)
    assert [(part.number, part.size) for part in listed] == [(2, any_served_store.part_size)]
    assert listed[0].etag.strip('"') == second.etag.strip('"')


def test_resize_multipart_larger_and_smaller_file_has_the_last_size(any_served_store: ServedStore) -> None:
    store, part_size = any_served_store.store, any_served_store.part_size
    key, body = any_served_store.new_key(), noise(2 * part_size + 100)
    upload = store.start_multipart(key, part_size, part_size)
    named = []
    for number, size in ((1, 2 * part_size), (2, 3 * part_size), (3, len(body))):
        store.resize_multipart(key, upload, size)
        part = body[(number - 1) * part_size : number * part_size]
        named.append(NamedPart(number, store.put_part(key, upload, number, part)))
    store.finish_multipart(key, upload, named)
    stored = store.stat(key)
    assert stored is not None
    assert stored.size == len(body)
    assert any_served_store.get(key).body == body
    digest = store.wait_for_digest(key, PATIENCE_SECONDS)
    assert digest is None or digest.sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("any_served_store", ["folder"], indirect=True)
def test_resize_multipart_below_a_stored_part_is_refused(any_served_store: ServedStore) -> None:
    store, part_size = any_served_store.store, any_served_store.part_size
    key = any_served_store.new_key()
    upload = store.start_multipart(key, 2 * part_size, part_size)
    store.put_part(key, upload, 1, noise(part_size))
    with pytest.raises(ValueError, match="beyond"):
        store.resize_multipart(key, upload, part_size - 1)


def test_finish_multipart_repeated_succeeds(any_served_store: ServedStore) -> None:
    body = noise(any_served_store.size)
    key, upload, named = started(any_served_store, body)
    any_served_store.store.finish_multipart(key, upload, named)
    any_served_store.store.finish_multipart(key, upload, named)
    assert any_served_store.content(key) == body


def test_abort_multipart_after_finish_keeps_object(any_served_store: ServedStore) -> None:
    body = noise(any_served_store.size)
    key, upload, named = started(any_served_store, body)
    any_served_store.store.finish_multipart(key, upload, named)
    any_served_store.store.abort_multipart(key, upload)
    any_served_store.store.abort_multipart(key, upload)
    assert any_served_store.content(key) == body


def test_abort_multipart_repeated_succeeds_and_closes_upload(any_served_store: ServedStore) -> None:
    key, upload, named = started(any_served_store, noise(any_served_store.size))
    any_served_store.store.abort_multipart(key, upload)
    any_served_store.store.abort_multipart(key, upload)
    with pytest.raises(NoSuchUpload):
        any_served_store.store.list_parts(key, upload)
    with pytest.raises(NoSuchUpload):
        any_served_store.store.finish_multipart(key, upload, named)
    assert any_served_store.store.stat(key) is None


def test_finish_multipart_missing_part_is_refused_until_it_is_sent(any_served_store: ServedStore) -> None:
    body = noise(any_served_store.size)
    key = any_served_store.new_key()
    upload = any_served_store.store.start_multipart(key, any_served_store.size, any_served_store.part_size)
    named = [any_served_store.put_part(key, upload, n, any_served_store.cut(body, n)) for n in (1, 3)]
    with pytest.raises(PartsWrong):
        any_served_store.store.finish_multipart(key, upload, named)
    assert any_served_store.store.stat(key) is None
    named.insert(1, any_served_store.put_part(key, upload, 2, any_served_store.cut(body, 2)))
    any_served_store.store.finish_multipart(key, upload, named)
    assert any_served_store.content(key) == body


@pytest.mark.parametrize("wrong", ["etag", "order", "twice", "extra", "none"])
def test_finish_multipart_wrong_part_list_is_refused(any_served_store: ServedStore, wrong: str) -> None:
    key, upload, (one, two, three) = started(any_served_store, noise(any_served_store.size))
    named = {
        "etag": [one, NamedPart(2, three.etag), three],
        "order": [two, one, three],
        "twice": [one, two, two, three],
        "extra": [one, two, three, NamedPart(4, three.etag)],
        "none": [],
    }[wrong]
    with pytest.raises(PartsWrong):
        any_served_store.store.finish_multipart(key, upload, named)
    assert any_served_store.store.stat(key) is None


def test_put_part_again_replaces_first_part(served_store: ServedStore) -> None:
    body = noise(served_store.size)
    key, upload, named = started(served_store, noise(served_store.part_size) + body[served_store.part_size :])
    again = served_store.put_part(key, upload, 1, served_store.cut(body, 1))
    served_store.store.finish_multipart(key, upload, [again, *named[1:]])
    assert served_store.content(key) == body


def test_finish_multipart_two_uploads_of_key_publish_one(served_store: ServedStore) -> None:
    first, second = noise(served_store.size), noise(served_store.size)
    key, upload, named = started(served_store, first)
    rival = served_store.store.start_multipart(key, served_store.size, served_store.part_size)
    parts = [served_store.put_part(key, rival, n, served_store.cut(second, n)) for n in (1, 2, 3)]
    served_store.store.finish_multipart(key, upload, named)
    with pytest.raises(KeyTaken):
        served_store.store.finish_multipart(key, rival, parts)
    served_store.store.abort_multipart(key, rival)
    with pytest.raises(NoSuchUpload):
        served_store.store.finish_multipart(key, rival, parts)
    assert served_store.content(key) == first


def test_finish_multipart_two_at_once_report_their_own_result(served_store: ServedStore) -> None:
    body, failures = noise(served_store.size), list[StoreError]()
    key, upload, named = started(served_store, body)

    def finish() -> None:
        try:
            served_store.store.finish_multipart(key, upload, named)
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=finish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert served_store.content(key) == body


def test_upload_used_with_other_key_is_not_found(any_served_store: ServedStore) -> None:
    key, upload, named = started(any_served_store, noise(any_served_store.size))
    other = any_served_store.new_key()
    with pytest.raises(NoSuchUpload):
        any_served_store.store.finish_multipart(other, upload, named)
    any_served_store.store.abort_multipart(other, upload)
    assert len(any_served_store.store.list_parts(key, upload)) == 3


@pytest.mark.parametrize(("number", "size"), [(0, 1000), (10_001, 1000), (1, 0), (1, -1)])
def test_presign_part_impossible_number_or_size_raises(served_store: ServedStore, number: int, size: int) -> None:
    key = served_store.new_key()
    upload = served_store.store.start_multipart(key, served_store.size, served_store.part_size)
    with pytest.raises(ValueError):
        served_store.store.presign_part(key, upload, number, size, HOUR)


def test_list_open_uploads_returns_uploads_until_finished_or_aborted(any_served_store: ServedStore) -> None:
    key = any_served_store.new_key()
    upload = any_served_store.store.start_multipart(key, any_served_store.size, any_served_store.part_size)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert (key, upload) in {(found.key, found.upload) for found in any_served_store.store.list_open_uploads(soon)}
    assert upload not in {found.upload for found in any_served_store.store.list_open_uploads(soon - HOUR)}
    any_served_store.store.abort_multipart(key, upload)
    assert upload not in {found.upload for found in any_served_store.store.list_open_uploads(soon)}
