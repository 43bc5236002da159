"""Whole files in every store: conditional and signed uploads."""

import hashlib
import threading

import pytest

from modelyard.server.storage.blob_store import (
    NoSuchKey,
)
from tests.server.storage.served_store import HOUR, Answer, ServedStore, noise, read_status
from tests.waiting import wait_until


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
