"""The signed URLs of the folder store, as clients and attackers use them."""

import base64
import hashlib
import json
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from modelyard.server.storage.local.routes import build_blob_app
from modelyard.server.storage.local.signing import LEEWAY_SECONDS
from modelyard.server.storage.local.store import LocalStore
from tests.server.storage.conftest import SECRET
from tests.server.storage.served_store import HOUR, Answer, ServedStore, noise, read_status, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

BODY = b"the bytes of a model"


def error_code(answer: Answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    code = json.loads(answer.body)["error_code"]
    assert isinstance(code, str)
    return code


def stored(own: ServedStore, body: bytes = BODY) -> tuple[str, str]:
    """Store an object; return its key and a download URL."""
    key = own.new_key()
    assert own.put(key, body).status == 200
    return key, own.store.presign_download(key, "ink.safetensors", hashlib.sha256(body).hexdigest(), HOUR).url


def leftovers(store: LocalStore) -> list[Path]:
    return list(store.folder.incoming.iterdir())


def has_begun(store: LocalStore, upload: str, body: bytes) -> bool:
    """Whether the first bytes of a body for part 1 are in the file, so that its sender is the part's writer.

    The server writes after each MiB.
    """
    with (store.folder.uploads / upload / "bytes").open("rb") as file:
        return file.read(64) == body[:64]


def mutations(url: str) -> list[str]:
    """Return the URL with each part of its query changed, removed, repeated and moved, one at a time."""
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


def test_download_url_with_any_change_is_refused(own: ServedStore) -> None:
    _, url = stored(own)
    assert own.ask("GET", url, {}).status == 200
    for changed in mutations(url):
        answer = own.ask("GET", changed, {})
        assert (changed, answer.status) == (changed, 403)
        assert error_code(answer) == "signature_refused"


def test_upload_url_with_any_change_is_refused(own: ServedStore) -> None:
    key = own.new_key()
    request = own.store.presign_put(key, len(BODY), hashlib.sha256(BODY).hexdigest(), HOUR)
    for changed in mutations(request.url):
        assert (changed, own.ask("PUT", changed, request.headers, BODY).status) == (changed, 403)
    assert own.store.stat(key) is None


def test_signed_url_with_other_method_is_refused(own: ServedStore) -> None:
    key, url = stored(own)
    put = own.store.presign_put(own.new_key(), len(BODY), None, HOUR)
    assert own.ask("GET", put.url, {}).status == 403
    assert own.ask("PUT", url, {"Content-Length": "5", "If-None-Match": "*"}, b"bytes").status == 403
    answer = own.ask("DELETE", url, {})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, PUT")
    assert own.content(key) == BODY


@pytest.mark.parametrize("spelling", ["/blobs/%6dodels/{rest}", "/blobs//models/{rest}", "/blobs/x/../models/{rest}"])
def test_signed_url_with_other_spelling_of_key_is_refused(own: ServedStore, spelling: str) -> None:
    _, url = stored(own)
    assert own.ask("GET", spelling.format(rest=url.removeprefix("/blobs/models/")), {}).status == 403


def test_signed_url_of_other_secret_is_refused(own: ServedStore, tmp_path: Path) -> None:
    stranger = LocalStore(tmp_path, b"another secret".ljust(32, b"."))
    key, _ = stored(own)
    assert own.ask("GET", stranger.presign_download(key, "a", "0" * 64, HOUR).url, {}).status == 403
    stranger.close()


def test_signed_url_expired_returns_url_expired(own: ServedStore) -> None:
    answer = own.send(own.store.presign_put(own.new_key(), 5, None, -HOUR), b"bytes")
    assert (answer.status, error_code(answer)) == (403, "url_expired")


def test_check_signature_within_leeway_is_accepted(tmp_path: Path) -> None:
    clock = [1_800_000_000.0]
    store = LocalStore(tmp_path, SECRET, now=lambda: clock[0])
    with serving(build_blob_app(store)) as port:
        served_store = ServedStore(store, port)
        url = store.presign_download(served_store.new_key(), "a", "0" * 64, timedelta(minutes=15)).url
        clock[0] += 15 * 60 + LEEWAY_SECONDS
        assert served_store.ask("GET", url, {}).status == 404
        clock[0] += 1
        assert served_store.ask("GET", url, {}).status == 403
    store.close()


def test_put_without_content_length_returns_411(own: ServedStore) -> None:
    request = own.store.presign_put(own.new_key(), 5, None, HOUR)
    answer = own.send(request, b"5\r\nbytes\r\n0\r\n\r\n", content_length=None, transfer_encoding="chunked")
    assert (answer.status, error_code(answer)) == (411, "length_required")


def test_put_wrong_content_length_is_refused_before_body(own: ServedStore) -> None:
    request = own.store.presign_put(own.new_key(), 5, None, HOUR)
    connection = own.begin(request, b"")
    connection.close()
    headers = {**request.headers, "Content-Length": "5000000000"}
    connection = own.begin(type(request)("PUT", request.url, headers, request.expires_at), b"first bytes")
    assert read_status(connection) == 400


def test_put_used_key_is_refused_before_body(own: ServedStore) -> None:
    key, _ = stored(own)
    connection = own.begin(own.store.presign_put(key, 5_000_000_000, None, HOUR), b"first bytes")
    assert read_status(connection) == 412


def test_put_refused_client_still_sending_receives_problem(own: ServedStore) -> None:
    key, _ = stored(own)
    answer = own.put(key, noise(30_000_000))
    assert (answer.status, error_code(answer)) == (412, "key_taken")
    assert answer.headers["connection"] == "close"


def test_put_wrong_checksum_returns_both_checksums(own: ServedStore, store: LocalStore) -> None:
    key, expected = own.new_key(), hashlib.sha256(BODY).hexdigest()
    answer = own.put(key, BODY[::-1], expected)
    assert (answer.status, error_code(answer)) == (400, "checksum_wrong")
    assert json.loads(answer.body)["expected"] == expected
    wait_until(lambda: leftovers(store) == [])


def test_put_unsigned_checksum_header_is_refused(own: ServedStore) -> None:
    request = own.store.presign_put(own.new_key(), len(BODY), None, HOUR)
    checksum = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    assert own.send(request, BODY, x_amz_checksum_sha256=checksum).status == 403


def test_put_whole_file_returns_sha256_as_etag(own: ServedStore) -> None:
    etag = f'"{hashlib.sha256(BODY).hexdigest()}"'
    key = own.new_key()
    assert own.put(key, BODY).headers["etag"] == etag
    assert own.get(key).headers["etag"] == etag


def test_put_client_disconnects_leaves_nothing(own: ServedStore, store: LocalStore) -> None:
    key = own.new_key()
    connection = own.begin(own.store.presign_put(key, 3_000_000, None, HOUR), noise(2_000_000))
    wait_until(lambda: len(leftovers(store)) == 1)
    connection.close()
    wait_until(lambda: leftovers(store) == [])
    assert own.store.stat(key) is None


def test_put_idle_client_is_refused_and_leaves_nothing(store: LocalStore) -> None:
    with serving(build_blob_app(store, idle_seconds=0.5)) as port:
        own = ServedStore(store, port)
        connection = own.begin(store.presign_put(own.new_key(), 3_000_000, None, HOUR), noise(100))
        assert read_status(connection) == 408
    wait_until(lambda: leftovers(store) == [])


def test_put_part_with_active_writer_returns_part_busy(own: ServedStore, store: LocalStore) -> None:
    key = own.new_key()
    upload = own.store.start_multipart(key, 3_000_000, 2_000_000)
    request = own.store.presign_part(key, upload, 1, 2_000_000, HOUR)
    body = noise(2_000_000)
    first = own.begin(request, body[:1_500_000])
    wait_until(lambda: has_begun(store, upload, body))
    assert own.send(request, body).status == 409
    first.sendall(body[1_500_000:])
    assert read_status(first) == 200
    assert own.send(request, body).status == 200


def test_put_part_after_writer_disconnected_succeeds(own: ServedStore) -> None:
    key = own.new_key()
    upload = own.store.start_multipart(key, 2_000_000, 2_000_000)
    request = own.store.presign_part(key, upload, 1, 2_000_000, HOUR)
    own.begin(request, noise(1_500_000)).close()
    wait_until(lambda: own.send(request, noise(2_000_000)).status == 200)


def test_put_part_of_aborted_upload_returns_404(own: ServedStore) -> None:
    key = own.new_key()
    upload = own.store.start_multipart(key, 5, 5)
    request = own.store.presign_part(key, upload, 1, 5, HOUR)
    own.store.abort_multipart(key, upload)
    answer = own.send(request, b"bytes")
    assert (answer.status, error_code(answer)) == (404, "upload_not_found")


def test_abort_multipart_during_part_write_leaves_nothing(own: ServedStore, store: LocalStore) -> None:
    key = own.new_key()
    upload = own.store.start_multipart(key, 2_000_000, 2_000_000)
    body = noise(1_500_000)
    connection = own.begin(own.store.presign_part(key, upload, 1, 2_000_000, HOUR), body)
    wait_until(lambda: has_begun(store, upload, body))
    own.store.abort_multipart(key, upload)
    connection.sendall(noise(500_000))
    assert read_status(connection) == 404
    wait_until(lambda: leftovers(store) == [])
    assert not (store.folder.uploads / upload).exists()


def test_download_returns_attachment_with_nosniff(own: ServedStore) -> None:
    key, _ = stored(own)
    headers = own.get(key, name='Tinte "Ü"\r\n墨.html').headers
    assert headers["content-disposition"] == (
        "attachment; filename=\"Tinte ______.html\"; filename*=UTF-8''Tinte%20%22%C3%9C%22%0D%0A%E5%A2%A8.html"
    )
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["accept-ranges"] == "bytes"
    assert "immutable" in headers["cache-control"]


def test_head_returns_headers_of_get_without_body(own: ServedStore) -> None:
    key, _ = stored(own)
    get, head = own.get(key), own.get(key, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert {**get.headers, "date": ""} == {**head.headers, "date": ""}


def test_download_with_authorization_header_ignores_it(own: ServedStore) -> None:
    _, url = stored(own)
    assert own.ask("GET", url, {"Authorization": "Bearer nonsense"}).status == 200


def test_download_several_ranges_returns_whole_file(own: ServedStore) -> None:
    key, _ = stored(own)
    answer = own.get(key, range="bytes=0-1,3-4")
    assert (answer.status, answer.body) == (200, BODY)


def test_download_other_if_range_returns_whole_file(own: ServedStore) -> None:
    key, _ = stored(own)
    same = own.get(key, range="bytes=3-", if_range=f'"{hashlib.sha256(BODY).hexdigest()}"')
    other = own.get(key, range="bytes=3-", if_range='"another"')
    assert (same.status, same.body) == (206, BODY[3:])
    assert (other.status, other.body) == (200, BODY)


def test_download_range_outside_file_returns_size(own: ServedStore) -> None:
    key, _ = stored(own)
    answer = own.get(key, range="bytes=20-")
    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */20")


def test_download_with_etag_conditions_returns_304_or_412(own: ServedStore) -> None:
    key, _ = stored(own)
    etag = f'"{hashlib.sha256(BODY).hexdigest()}"'
    assert own.get(key, if_none_match=etag).status == 304
    assert own.get(key, if_match='"another"').status == 412
    assert own.get(key, if_match=etag).body == BODY


def test_download_file_shrinks_breaks_connection(own: ServedStore, store: LocalStore) -> None:
    body = noise(64_000_000)
    key, url = stored(own, body)
    with socket.create_connection(("127.0.0.1", own.port)) as connection:
        connection.sendall(f"GET {url} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        received = len(connection.recv(1000))
        with (store.folder.get_object_folder(key) / "bytes").open("r+b") as file:
            file.truncate(1_000)
        while piece := connection.recv(1 << 20):
            received += len(piece)
    assert received < len(body)


def test_download_running_while_key_is_deleted_completes(own: ServedStore) -> None:
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
def test_presign_part_not_of_file_raises(own: ServedStore, number: int, more: int) -> None:
    key = own.new_key()
    upload = own.store.start_multipart(key, own.size, own.part_size)
    with pytest.raises(ValueError):
        own.store.presign_part(key, upload, number, own.part_size + more, HOUR)
