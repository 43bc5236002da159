"""The signed URLs of the folder store, as clients and attackers see them."""

import base64
import hashlib
import json
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.local_routes import blob_app
from modelyard.server.storage.signing import LEEWAY_SECONDS
from tests.server.storage.conftest import SECRET
from tests.server.storage.place import HOUR, Answer, Place, noise, serving, status_of, until

BODY = b"the bytes of a model"


def error_code(answer: Answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    code = json.loads(answer.body)["error_code"]
    assert isinstance(code, str)
    return code


def stored(own: Place, body: bytes = BODY) -> tuple[str, str]:
    """A key with bytes, and a download URL."""
    key = own.new_key()
    assert own.put(key, body).status == 200
    return key, own.store.download_request(key, "ink.safetensors", hashlib.sha256(body).hexdigest(), HOUR).url


def leftovers(store: LocalStore) -> list[Path]:
    return list(store.folder.incoming.iterdir())


def mutations(url: str) -> list[str]:
    """The URL with every part of its query bent, dropped, doubled and moved, one at a time."""
    path, _, query = url.partition("?")
    fields = query.split("&")
    bent = [
        [*fields[:n], field[:-1] + ("A" if field[-1] != "A" else "B"), *fields[n + 1 :]]
        for n, field in enumerate(fields)
    ]
    dropped = [fields[:n] + fields[n + 1 :] for n in range(len(fields))]
    doubled = [[*fields[: n + 1], *fields[n:]] for n in range(len(fields))]
    moved = [[*fields[n:], *fields[:n]] for n in range(1, len(fields))]
    added = [[*fields, "x=1"], ["x=1", *fields], ["", *fields], [*fields, ""]]
    encoded = [["%65" + fields[0][1:], *fields[1:]], [fields[0].replace("=", "=%3" + fields[0][8]), *fields[1:]]]
    return [f"{path}?{'&'.join(one)}" for one in bent + dropped + doubled + moved + added + encoded] + [path]


def test_a_download_url_with_anything_changed_is_refused(own: Place) -> None:
    _, url = stored(own)
    assert own.ask("GET", url, {}).status == 200
    for changed in mutations(url):
        answer = own.ask("GET", changed, {})
        assert (changed, answer.status) == (changed, 403)
        assert error_code(answer) == "signature_refused"


def test_an_upload_url_with_anything_changed_is_refused(own: Place) -> None:
    key = own.new_key()
    request = own.store.put_request(key, len(BODY), hashlib.sha256(BODY).hexdigest(), HOUR)
    for changed in mutations(request.url):
        assert (changed, own.ask("PUT", changed, request.headers, BODY).status) == (changed, 403)
    assert own.store.stored(key) is None


def test_a_url_works_for_one_method_only(own: Place) -> None:
    key, url = stored(own)
    put = own.store.put_request(own.new_key(), len(BODY), None, HOUR)
    assert own.ask("GET", put.url, {}).status == 403
    assert own.ask("PUT", url, {"Content-Length": "5", "If-None-Match": "*"}, b"bytes").status == 403
    answer = own.ask("DELETE", url, {})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, PUT")
    assert own.content(key) == BODY


@pytest.mark.parametrize("spelling", ["/blobs/%6dodels/{rest}", "/blobs//models/{rest}", "/blobs/x/../models/{rest}"])
def test_a_key_has_one_spelling(own: Place, spelling: str) -> None:
    _, url = stored(own)
    assert own.ask("GET", spelling.format(rest=url.removeprefix("/blobs/models/")), {}).status == 403


def test_another_secret_signs_nothing_here(own: Place, tmp_path: Path) -> None:
    stranger = LocalStore(tmp_path, b"another secret".ljust(32, b"."))
    key, _ = stored(own)
    assert own.ask("GET", stranger.download_request(key, "a", "0" * 64, HOUR).url, {}).status == 403
    stranger.close()


def test_an_expired_url_says_so(own: Place) -> None:
    answer = own.send(own.store.put_request(own.new_key(), 5, None, -HOUR), b"bytes")
    assert (answer.status, error_code(answer)) == (403, "url_expired")


def test_clocks_may_differ_by_a_minute(tmp_path: Path) -> None:
    clock = [1_800_000_000.0]
    store = LocalStore(tmp_path, SECRET, now=lambda: clock[0])
    with serving(blob_app(store)) as port:
        place = Place(store, port)
        url = store.download_request(place.new_key(), "a", "0" * 64, timedelta(minutes=15)).url
        clock[0] += 15 * 60 + LEEWAY_SECONDS
        assert place.ask("GET", url, {}).status == 404
        clock[0] += 1
        assert place.ask("GET", url, {}).status == 403
    store.close()


def test_a_body_without_a_length_is_411(own: Place) -> None:
    request = own.store.put_request(own.new_key(), 5, None, HOUR)
    answer = own.send(request, b"5\r\nbytes\r\n0\r\n\r\n", content_length=None, transfer_encoding="chunked")
    assert (answer.status, error_code(answer)) == (411, "length_required")


def test_a_wrong_length_is_refused_before_the_body(own: Place) -> None:
    request = own.store.put_request(own.new_key(), 5, None, HOUR)
    connection = own.begin(request, b"")
    connection.close()
    headers = {**request.headers, "Content-Length": "5000000000"}
    connection = own.begin(type(request)("PUT", request.url, headers, request.expires_at), b"first bytes")
    assert status_of(connection) == 400


def test_a_taken_key_is_refused_before_the_body(own: Place) -> None:
    key, _ = stored(own)
    connection = own.begin(own.store.put_request(key, 5_000_000_000, None, HOUR), b"first bytes")
    assert status_of(connection) == 412


def test_a_client_that_keeps_sending_still_reads_the_refusal(own: Place) -> None:
    key, _ = stored(own)
    answer = own.put(key, noise(30_000_000))
    assert (answer.status, error_code(answer)) == (412, "key_taken")
    assert answer.headers["connection"] == "close"


def test_a_checksum_of_other_bytes_is_named(own: Place, store: LocalStore) -> None:
    key, expected = own.new_key(), hashlib.sha256(BODY).hexdigest()
    answer = own.put(key, BODY[::-1], expected)
    assert (answer.status, error_code(answer)) == (400, "checksum_wrong")
    assert json.loads(answer.body)["expected"] == expected
    until(lambda: leftovers(store) == [])


def test_a_checksum_that_was_not_signed_is_refused(own: Place) -> None:
    request = own.store.put_request(own.new_key(), len(BODY), None, HOUR)
    checksum = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    assert own.send(request, BODY, x_amz_checksum_sha256=checksum).status == 403


def test_the_etag_of_a_whole_file_is_its_sha256(own: Place) -> None:
    etag = f'"{hashlib.sha256(BODY).hexdigest()}"'
    key = own.new_key()
    assert own.put(key, BODY).headers["etag"] == etag
    assert own.get(key).headers["etag"] == etag


def test_a_client_that_leaves_leaves_nothing(own: Place, store: LocalStore) -> None:
    key = own.new_key()
    connection = own.begin(own.store.put_request(key, 3_000_000, None, HOUR), noise(2_000_000))
    until(lambda: len(leftovers(store)) == 1)
    connection.close()
    until(lambda: leftovers(store) == [])
    assert own.store.stored(key) is None


def test_a_silent_client_is_shut_out_and_leaves_nothing(own: Place, store: LocalStore) -> None:
    connection = own.begin(own.store.put_request(own.new_key(), 3_000_000, None, HOUR), noise(100))
    assert status_of(connection) == 408
    until(lambda: leftovers(store) == [])


def test_a_part_has_one_writer(own: Place) -> None:
    key = own.new_key()
    upload = own.store.start(key, 3_000_000, 2_000_000)
    request = own.store.part_request(key, upload, 1, 2_000_000, HOUR)
    body = noise(2_000_000)
    first = own.begin(request, body[:500_000])
    until(lambda: own.send(request, body).status == 409)
    first.sendall(body[500_000:])
    assert status_of(first) == 200
    assert own.send(request, body).status == 200


def test_a_part_whose_writer_left_can_be_sent_again(own: Place) -> None:
    key = own.new_key()
    upload = own.store.start(key, 2_000_000, 2_000_000)
    request = own.store.part_request(key, upload, 1, 2_000_000, HOUR)
    own.begin(request, noise(1_500_000)).close()
    until(lambda: own.send(request, noise(2_000_000)).status == 200)


def test_a_part_of_an_aborted_upload_is_404(own: Place) -> None:
    key = own.new_key()
    upload = own.store.start(key, 5, 5)
    request = own.store.part_request(key, upload, 1, 5, HOUR)
    own.store.abort(key, upload)
    answer = own.send(request, b"bytes")
    assert (answer.status, error_code(answer)) == (404, "upload_not_found")


def test_an_upload_aborted_under_its_writer_leaves_nothing(own: Place, store: LocalStore) -> None:
    key = own.new_key()
    upload = own.store.start(key, 2_000_000, 2_000_000)
    connection = own.begin(own.store.part_request(key, upload, 1, 2_000_000, HOUR), noise(1_500_000))
    until(lambda: own.send(own.store.part_request(key, upload, 1, 2_000_000, HOUR), noise(2_000_000)).status == 409)
    own.store.abort(key, upload)
    connection.sendall(noise(500_000))
    assert status_of(connection) == 404
    until(lambda: leftovers(store) == [])
    assert not (store.folder.uploads / upload).exists()


def test_a_download_is_an_attachment_that_no_browser_interprets(own: Place) -> None:
    key, _ = stored(own)
    headers = own.get(key, name='Tinte "Ü"\r\n墨.html').headers
    assert headers["content-disposition"] == (
        "attachment; filename=\"Tinte ______.html\"; filename*=UTF-8''Tinte%20%22%C3%9C%22%0D%0A%E5%A2%A8.html"
    )
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["accept-ranges"] == "bytes"
    assert "immutable" in headers["cache-control"]


def test_head_tells_the_same_without_bytes(own: Place) -> None:
    key, _ = stored(own)
    get, head = own.get(key), own.get(key, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert {**get.headers, "date": ""} == {**head.headers, "date": ""}


def test_authorization_is_ignored(own: Place) -> None:
    _, url = stored(own)
    assert own.ask("GET", url, {"Authorization": "Bearer nonsense"}).status == 200


def test_several_ranges_get_the_whole_file(own: Place) -> None:
    key, _ = stored(own)
    answer = own.get(key, range="bytes=0-1,3-4")
    assert (answer.status, answer.body) == (200, BODY)


def test_if_range_protects_a_resume(own: Place) -> None:
    key, _ = stored(own)
    same = own.get(key, range="bytes=3-", if_range=f'"{hashlib.sha256(BODY).hexdigest()}"')
    other = own.get(key, range="bytes=3-", if_range='"another"')
    assert (same.status, same.body) == (206, BODY[3:])
    assert (other.status, other.body) == (200, BODY)


def test_a_range_outside_tells_the_size(own: Place) -> None:
    key, _ = stored(own)
    answer = own.get(key, range="bytes=20-")
    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */20")


def test_conditions_on_the_etag_hold(own: Place) -> None:
    key, _ = stored(own)
    etag = f'"{hashlib.sha256(BODY).hexdigest()}"'
    assert own.get(key, if_none_match=etag).status == 304
    assert own.get(key, if_match='"another"').status == 412
    assert own.get(key, if_match=etag).body == BODY


def test_a_file_that_shrinks_breaks_the_download(own: Place, store: LocalStore) -> None:
    body = noise(64_000_000)
    key, url = stored(own, body)
    with socket.create_connection(("127.0.0.1", own.port)) as connection:
        connection.sendall(f"GET {url} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        received = len(connection.recv(1000))
        with (store.folder.object(key) / "bytes").open("r+b") as file:
            file.truncate(1_000)
        while piece := connection.recv(1 << 20):
            received += len(piece)
    assert received < len(body)


def test_a_running_download_outlives_its_key(own: Place) -> None:
    body = noise(32_000_000)
    key, url = stored(own, body)
    with socket.create_connection(("127.0.0.1", own.port)) as connection:
        connection.sendall(f"GET {url} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
        received = connection.recv(1000)
        own.store.delete(key)
        while piece := connection.recv(1 << 20):
            received += piece
    assert received.partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize(("number", "more"), [(4, 0), (1, -1), (3, 0)])
def test_no_url_is_made_for_a_part_that_the_file_has_not(own: Place, number: int, more: int) -> None:
    key = own.new_key()
    upload = own.store.start(key, own.size, own.part_size)
    with pytest.raises(ValueError):
        own.store.part_request(key, upload, number, own.part_size + more, HOUR)
