"""The promise of every store. What only the folder promises is in ``test_local_*``."""

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
    check_key,
)
from tests.server.storage.place import HOUR, Answer, Place, noise, status_of, until


def started(place: Place, body: bytes) -> tuple[str, str, list[NamedPart]]:
    """A key, an upload and its parts, all sent."""
    key = place.new_key()
    upload = place.store.start(key, len(body), place.part_size)
    return key, upload, [place.put_part(key, upload, n, place.cut(body, n)) for n in (1, 2, 3)]


# Whole files.


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_a_whole_file_comes_back_as_it_was_sent(any_place: Place, size: int) -> None:
    key, body = any_place.new_key(), noise(size)
    assert any_place.put(key, body, hashlib.sha256(body).hexdigest()).status == 200
    stored = any_place.store.stored(key)
    assert stored is not None
    assert stored.size == size
    assert any_place.get(key).body == body


def test_nothing_is_stored_before_it_is_sent(any_place: Place) -> None:
    key = any_place.new_key()
    any_place.store.put_request(key, 5, None, HOUR)
    assert any_place.store.stored(key) is None
    with pytest.raises(NoSuchKey):
        any_place.store.read(key, 0, 1)
    assert any_place.get(key).status == 404


def test_a_wrong_checksum_leaves_nothing(place: Place) -> None:
    key = place.new_key()
    assert place.put(key, b"other bytes", hashlib.sha256(b"these bytes").hexdigest()).status == 400
    assert place.store.stored(key) is None


def test_a_key_is_written_once(place: Place) -> None:
    key = place.new_key()
    assert place.put(key, b"first").status == 200
    assert place.put(key, b"second").status == 412
    assert place.content(key) == b"first"


def test_atomic_dual_write_keeps_one_whole_file(place: Place) -> None:
    key, slow, fast = place.new_key(), b"A" * 3_000_000, b"B" * 3_000_000
    request = place.store.put_request(key, len(slow), None, HOUR)
    connection = place.begin(request, slow[:2_000_000])
    assert place.send(request, fast).status == 200
    connection.sendall(slow[2_000_000:])
    assert status_of(connection) == 412
    assert place.content(key) == fast


def test_of_many_writers_at_once_one_wins(place: Place) -> None:
    key, answers = place.new_key(), list[Answer]()
    bodies = [bytes([n]) * 1_500_000 for n in range(6)]
    threads = [threading.Thread(target=lambda body=body: answers.append(place.put(key, body))) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200] + [412] * 5
    assert place.content(key) in bodies


def test_a_reader_sees_nothing_or_everything_of_a_write(any_place: Place) -> None:
    key, body = any_place.new_key(), noise(3_000_000)
    connection = any_place.begin(any_place.store.put_request(key, len(body), None, HOUR), body[:1_500_000])
    assert any_place.store.stored(key) is None
    connection.sendall(body[1_500_000:])
    assert status_of(connection) == 200
    assert any_place.content(key) == body


def test_a_body_that_is_cut_leaves_nothing(any_place: Place) -> None:
    key = any_place.new_key()
    any_place.begin(any_place.store.put_request(key, 3_000_000, None, HOUR), noise(2_000_000)).close()
    assert any_place.put(key, b"the next try").status == 200
    assert any_place.content(key) == b"the next try"


def test_a_body_that_is_longer_than_signed_is_refused(place: Place) -> None:
    key = place.new_key()
    request = place.store.put_request(key, 5, None, HOUR)
    assert place.send(request, b"longer body", content_length="11").status in (400, 403)
    assert place.store.stored(key) is None


@pytest.mark.parametrize(
    "changed",
    [{"if_none_match": None}, {"if_none_match": '"tag"'}, {"x_amz_checksum_sha256": None}],
    ids=["condition left out", "condition changed", "checksum left out"],
)
def test_a_signed_header_cannot_be_left_out_or_changed(any_place: Place, changed: dict[str, str | None]) -> None:
    key, body = any_place.new_key(), b"bytes"
    request = any_place.store.put_request(key, len(body), hashlib.sha256(body).hexdigest(), HOUR)
    assert any_place.send(request, body, **changed).status == 403
    assert any_place.store.stored(key) is None


def test_an_expired_url_is_refused(place: Place) -> None:
    key = place.new_key()
    place.put(key, b"bytes")
    upload = place.store.put_request(key, 5, None, place.shortest)
    download = place.store.download_request(key, "a", "0" * 64, place.shortest)
    until(lambda: place.send(upload, b"bytes").status == 403)
    until(lambda: place.send(download).status == 403)


def test_a_url_is_for_its_key_only(any_place: Place) -> None:
    key, other = any_place.new_key(), any_place.new_key()
    request = any_place.store.put_request(key, 5, None, HOUR)
    assert any_place.ask("PUT", request.url.replace(key, other), request.headers, b"bytes").status == 403
    assert any_place.store.stored(other) is None


# Multipart uploads.


def test_parts_in_any_order_become_one_file(any_place: Place) -> None:
    body = noise(any_place.size)
    key = any_place.new_key()
    upload = any_place.store.start(key, any_place.size, any_place.part_size)
    named = [any_place.put_part(key, upload, n, any_place.cut(body, n)) for n in (3, 1, 2)]
    assert any_place.store.stored(key) is None
    any_place.store.finish(key, upload, sorted(named, key=lambda part: part.number))
    assert any_place.content(key) == body


def test_held_parts_are_listed_for_a_resume(any_place: Place) -> None:
    key = any_place.new_key()
    upload = any_place.store.start(key, any_place.size, any_place.part_size)
    second = any_place.put_part(key, upload, 2, noise(any_place.part_size))
    listed = any_place.store.parts(key, upload)
    assert [(part.number, part.size) for part in listed] == [(2, any_place.part_size)]
    assert listed[0].etag.strip('"') == second.etag.strip('"')


def test_finish_may_be_repeated(any_place: Place) -> None:
    body = noise(any_place.size)
    key, upload, named = started(any_place, body)
    any_place.store.finish(key, upload, named)
    any_place.store.finish(key, upload, named)
    assert any_place.content(key) == body


def test_abort_after_finish_does_nothing(any_place: Place) -> None:
    body = noise(any_place.size)
    key, upload, named = started(any_place, body)
    any_place.store.finish(key, upload, named)
    any_place.store.abort(key, upload)
    any_place.store.abort(key, upload)
    assert any_place.content(key) == body


def test_abort_may_be_repeated_and_ends_the_upload(any_place: Place) -> None:
    key, upload, named = started(any_place, noise(any_place.size))
    any_place.store.abort(key, upload)
    any_place.store.abort(key, upload)
    with pytest.raises(NoSuchUpload):
        any_place.store.parts(key, upload)
    with pytest.raises(NoSuchUpload):
        any_place.store.finish(key, upload, named)
    assert any_place.store.stored(key) is None


def test_multipart_upload_missing_part_is_refused_and_can_be_mended(any_place: Place) -> None:
    body = noise(any_place.size)
    key = any_place.new_key()
    upload = any_place.store.start(key, any_place.size, any_place.part_size)
    named = [any_place.put_part(key, upload, n, any_place.cut(body, n)) for n in (1, 3)]
    with pytest.raises(PartsWrong):
        any_place.store.finish(key, upload, named)
    assert any_place.store.stored(key) is None
    named.insert(1, any_place.put_part(key, upload, 2, any_place.cut(body, 2)))
    any_place.store.finish(key, upload, named)
    assert any_place.content(key) == body


@pytest.mark.parametrize("wrong", ["etag", "order", "twice", "extra", "none"])
def test_parts_that_are_not_the_held_ones_are_refused(any_place: Place, wrong: str) -> None:
    key, upload, (one, two, three) = started(any_place, noise(any_place.size))
    named = {
        "etag": [one, NamedPart(2, three.etag), three],
        "order": [two, one, three],
        "twice": [one, two, two, three],
        "extra": [one, two, three, NamedPart(4, three.etag)],
        "none": [],
    }[wrong]
    with pytest.raises(PartsWrong):
        any_place.store.finish(key, upload, named)
    assert any_place.store.stored(key) is None


def test_a_part_sent_again_replaces_the_first(place: Place) -> None:
    body = noise(place.size)
    key, upload, named = started(place, noise(place.part_size) + body[place.part_size :])
    again = place.put_part(key, upload, 1, place.cut(body, 1))
    place.store.finish(key, upload, [again, *named[1:]])
    assert place.content(key) == body


def test_of_two_uploads_of_one_key_one_is_published(place: Place) -> None:
    first, second = noise(place.size), noise(place.size)
    key, upload, named = started(place, first)
    rival = place.store.start(key, place.size, place.part_size)
    parts = [place.put_part(key, rival, n, place.cut(second, n)) for n in (1, 2, 3)]
    place.store.finish(key, upload, named)
    with pytest.raises(KeyTaken):
        place.store.finish(key, rival, parts)
    place.store.abort(key, rival)
    with pytest.raises(NoSuchUpload):
        place.store.finish(key, rival, parts)
    assert place.content(key) == first


def test_two_finishes_at_once_are_both_told_the_truth(place: Place) -> None:
    body, failures = noise(place.size), list[StoreError]()
    key, upload, named = started(place, body)

    def finish() -> None:
        try:
            place.store.finish(key, upload, named)
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=finish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert place.content(key) == body


def test_an_upload_belongs_to_its_key(any_place: Place) -> None:
    key, upload, named = started(any_place, noise(any_place.size))
    other = any_place.new_key()
    with pytest.raises(NoSuchUpload):
        any_place.store.finish(other, upload, named)
    any_place.store.abort(other, upload)
    assert len(any_place.store.parts(key, upload)) == 3


@pytest.mark.parametrize(("number", "size"), [(0, 1000), (10_001, 1000), (1, 0), (1, -1)])
def test_no_url_is_made_for_a_part_that_cannot_be(place: Place, number: int, size: int) -> None:
    key = place.new_key()
    upload = place.store.start(key, place.size, place.part_size)
    with pytest.raises(ValueError):
        place.store.part_request(key, upload, number, size, HOUR)


def test_open_uploads_are_listed_until_they_end(any_place: Place) -> None:
    key = any_place.new_key()
    upload = any_place.store.start(key, any_place.size, any_place.part_size)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert (key, upload) in {(found.key, found.upload) for found in any_place.store.open_uploads(soon)}
    assert upload not in {found.upload for found in any_place.store.open_uploads(soon - HOUR)}
    any_place.store.abort(key, upload)
    assert upload not in {found.upload for found in any_place.store.open_uploads(soon)}


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
def test_ranged_request_gives_exactly_these_bytes(place: Place, wanted: str, start: int, end: int) -> None:
    key, body = place.new_key(), noise(100)
    place.put(key, body)
    answer = place.get(key, range=wanted)
    assert (answer.status, answer.body) == (206, body[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100"


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_ranged_request_outside_the_file_is_416(place: Place, wanted: str) -> None:
    key = place.new_key()
    place.put(key, noise(100))
    answer = place.get(key, range=wanted)
    assert answer.status == 416


def test_read_gives_any_stretch(any_place: Place) -> None:
    key, body = any_place.new_key(), noise(3_000_000)
    any_place.put(key, body)
    assert b"".join(any_place.store.read(key, 1_000_000, 1_500_000)) == body[1_000_000:2_500_000]
    assert b"".join(any_place.store.read(key, 2_999_990, 50)) == body[-10:]
    assert max(len(piece) for piece in any_place.store.read(key, 0, 3_000_000)) <= 1 << 20


def test_an_empty_stretch_and_one_past_the_end_hold_nothing(any_place: Place) -> None:
    key, empty = any_place.new_key(), any_place.new_key()
    any_place.put(key, b"bytes")
    any_place.put(empty, b"")
    assert list(any_place.store.read(key, 0, 0)) == []
    assert list(any_place.store.read(key, 5, 10)) == []
    assert list(any_place.store.read(empty, 0, 10)) == []


# Keeping house.


def test_delete_may_be_called_twice(any_place: Place) -> None:
    key = any_place.new_key()
    any_place.put(key, b"bytes")
    any_place.store.delete(key)
    any_place.store.delete(key)
    assert any_place.store.stored(key) is None
    assert any_place.get(key).status == 404


def test_a_copy_outlives_the_first(any_place: Place) -> None:
    key, to = any_place.new_key(), any_place.new_key("served")
    any_place.put(key, b"bytes")
    any_place.store.copy(key, to)
    any_place.store.delete(key)
    assert any_place.content(to) == b"bytes"


def test_a_copy_never_replaces(any_place: Place) -> None:
    key, to = any_place.new_key(), any_place.new_key("served")
    any_place.put(key, b"bytes")
    any_place.put(to, b"other")
    with pytest.raises(KeyTaken):
        any_place.store.copy(key, to)
    with pytest.raises(NoSuchKey):
        any_place.store.copy(any_place.new_key(), any_place.new_key())
    assert any_place.content(to) == b"other"


def test_keys_are_listed_by_prefix_with_the_time_of_publishing(any_place: Place) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    key = any_place.new_key()
    any_place.put(key, b"bytes")
    team = key.rpartition("/")[0] + "/"
    (found,) = any_place.store.keys(team)
    assert (found.key, found.size) == (key, 5)
    assert before < found.modified < datetime.now(UTC) + timedelta(seconds=2)
    assert key not in {other.key for other in any_place.store.keys("served/")}


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
def test_only_keys_of_our_form_name_anything(place: Place, key: str) -> None:
    key = key.format("01234567-89ab-cdef-0123-456789abcdef")
    with pytest.raises(ValueError):
        check_key(key)
    with pytest.raises(ValueError):
        place.store.stored(key)
    with pytest.raises(ValueError):
        place.store.put_request(key, 5, None, HOUR)
    with pytest.raises(ValueError):
        place.store.delete(key)


def test_an_honest_store_is_seen_to_be_honest_and_left_clean(place: Place) -> None:
    assert place.store.probe().is_honest
    assert list(place.store.keys("probe/")) == []
