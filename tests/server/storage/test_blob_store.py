"""The behaviour of every store. What only the folder store guarantees is tested in ``test_local_*``."""

import hashlib
import threading
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.server.storage.blob_store import (
    KeyTaken,
    NamedPart,
    NoSuchKey,
    NoSuchUpload,
    PartsWrong,
    StoreError,
    validate_key,
)
from tests.server.storage.served_store import HOUR, Answer, ServedStore, noise, read_status, wait_until


def started(served_store: ServedStore, body: bytes) -> tuple[str, str, list[NamedPart]]:
    """A key, an upload and its parts, all sent."""
    key = served_store.new_key()
    upload = served_store.store.start_multipart(key, len(body), served_store.part_size)
    return key, upload, [served_store.put_part(key, upload, n, served_store.cut(body, n)) for n in (1, 2, 3)]


# Whole files.


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_put_whole_file_downloads_same_bytes(any_served_store: ServedStore, size: int) -> None:
    key, body = any_served_store.new_key(), noise(size)
    assert any_served_store.put(key, body, hashlib.sha256(body).hexdigest()).status == 200
    stored = any_served_store.store.stat(key)
    assert stored is not None
    assert stored.size == size
    assert any_served_store.get(key).body == body


def test_stat_before_put_returns_none(any_served_store: ServedStore) -> None:
    key = any_served_store.new_key()
    any_served_store.store.presign_put(key, 5, None, HOUR)
    assert any_served_store.store.stat(key) is None
    with pytest.raises(NoSuchKey):
        any_served_store.store.read(key, 0, 1)
    assert any_served_store.get(key).status == 404


def test_put_wrong_checksum_is_refused_and_stores_nothing(served_store: ServedStore) -> None:
    key = served_store.new_key()
    assert served_store.put(key, b"other bytes", hashlib.sha256(b"these bytes").hexdigest()).status == 400
    assert served_store.store.stat(key) is None


def test_put_used_key_is_refused(served_store: ServedStore) -> None:
    key = served_store.new_key()
    assert served_store.put(key, b"first").status == 200
    assert served_store.put(key, b"second").status == 412
    assert served_store.content(key) == b"first"


def test_put_two_writers_at_once_store_one_whole_file(served_store: ServedStore) -> None:
    key, slow, fast = served_store.new_key(), b"A" * 3_000_000, b"B" * 3_000_000
    request = served_store.store.presign_put(key, len(slow), None, HOUR)
    connection = served_store.begin(request, slow[:2_000_000])
    assert served_store.send(request, fast).status == 200
    connection.sendall(slow[2_000_000:])
    assert read_status(connection) == 412
    assert served_store.content(key) == fast


def test_put_many_writers_at_once_one_succeeds(served_store: ServedStore) -> None:
    key, answers = served_store.new_key(), list[Answer]()
    bodies = [bytes([n]) * 1_500_000 for n in range(6)]
    threads = [
        threading.Thread(target=lambda body=body: answers.append(served_store.put(key, body))) for body in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200] + [412] * 5
    assert served_store.content(key) in bodies


def test_read_during_put_sees_nothing_or_whole_file(any_served_store: ServedStore) -> None:
    key, body = any_served_store.new_key(), noise(3_000_000)
    connection = any_served_store.begin(
        any_served_store.store.presign_put(key, len(body), None, HOUR), body[:1_500_000]
    )
    assert any_served_store.store.stat(key) is None
    connection.sendall(body[1_500_000:])
    assert read_status(connection) == 200
    assert any_served_store.content(key) == body


def test_put_truncated_body_stores_nothing(any_served_store: ServedStore) -> None:
    key = any_served_store.new_key()
    any_served_store.begin(any_served_store.store.presign_put(key, 3_000_000, None, HOUR), noise(2_000_000)).close()
    assert any_served_store.put(key, b"the next try").status == 200
    assert any_served_store.content(key) == b"the next try"


def test_put_body_longer_than_signed_is_refused(served_store: ServedStore) -> None:
    key = served_store.new_key()
    request = served_store.store.presign_put(key, 5, None, HOUR)
    assert served_store.send(request, b"longer body", content_length="11").status in (400, 403)
    assert served_store.store.stat(key) is None


@pytest.mark.parametrize(
    "changed",
    [{"if_none_match": None}, {"if_none_match": '"tag"'}, {"x_amz_checksum_sha256": None}],
    ids=["condition left out", "condition changed", "checksum left out"],
)
def test_put_omitted_or_changed_signed_header_is_refused(
    any_served_store: ServedStore, changed: dict[str, str | None]
) -> None:
    key, body = any_served_store.new_key(), b"bytes"
    request = any_served_store.store.presign_put(key, len(body), hashlib.sha256(body).hexdigest(), HOUR)
    assert any_served_store.send(request, body, **changed).status == 403
    assert any_served_store.store.stat(key) is None


def test_put_expired_url_is_refused(served_store: ServedStore) -> None:
    key = served_store.new_key()
    served_store.put(key, b"bytes")
    upload = served_store.store.presign_put(key, 5, None, served_store.shortest)
    download = served_store.store.presign_download(key, "a", "0" * 64, served_store.shortest)
    wait_until(lambda: served_store.send(upload, b"bytes").status == 403)
    wait_until(lambda: served_store.send(download).status == 403)


def test_put_url_of_other_key_is_refused(any_served_store: ServedStore) -> None:
    key, other = any_served_store.new_key(), any_served_store.new_key()
    request = any_served_store.store.presign_put(key, 5, None, HOUR)
    assert any_served_store.ask("PUT", request.url.replace(key, other), request.headers, b"bytes").status == 403
    assert any_served_store.store.stat(other) is None


# Multipart uploads.


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


# Reading.


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


# Keeping house.


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
