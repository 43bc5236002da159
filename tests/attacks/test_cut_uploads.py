"""Uploads over a raw socket with a wrong length, or cut off half-way."""

import socket
from urllib.parse import urlsplit

import pytest

from tests.attacks.raw_http import LAST_REQUEST, send_raw_request
from tests.attacks.state_snapshot import list_store_files
from tests.running import RunningServer
from tests.server.environments import only_on
from tests.server.harness import make_model_file
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    only_on("folder", reason="these are attacks on the embedded store; a bucket has its own protection"),
]


def _build_put_head(server: RunningServer, content: bytes, framing: dict[str, str] | None = None) -> tuple[bytes, str]:
    """Return the request head of a PUT of this content, and the storage key."""
    ticket = server.owner().presign(content).json()
    url = urlsplit(ticket["upload_url"])
    headers = ticket["upload_headers"] if framing is None else {"If-None-Match": "*", **framing}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n{lines}\r\n".encode(), ticket["storage_key"]


def _wait_for_clean_store(server: RunningServer) -> dict[str, int]:
    """Return the store's files once the server has deleted the partial upload."""
    # Each listing is taken once: files that the server creates afterwards belong to the next one.
    files = list_store_files(server.data_dir)

    def is_clean() -> bool:
        nonlocal files
        files = list_store_files(server.data_dir)
        return not any(name.startswith("incoming/") for name in files)

    wait_until(is_clean)
    return files


def test_put_truncated_body_leaves_nothing_and_url_stays_valid(server: RunningServer) -> None:
    content = make_model_file(size=3 << 20)
    head, _ = _build_put_head(server, content)
    before = list_store_files(server.data_dir)
    for sent in (0, 1, len(content) // 2, len(content) - 1):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head + content[:sent])
        assert _wait_for_clean_store(server) == before, sent
    assert send_raw_request(server.port, head + content + LAST_REQUEST).statuses == [200, 200]


def test_put_bytes_beyond_content_length_are_ignored(server: RunningServer) -> None:
    content = make_model_file("after")
    head, key = _build_put_head(server, content)
    before = list_store_files(server.data_dir)
    responses = send_raw_request(server.port, head + content + b"more")
    stored = server.data_dir / "objects" / key / "bytes"
    # The parser may read the extra bytes before the upload is answered: then the whole upload is refused.
    if responses.statuses[0] == 200:
        assert stored.read_bytes() == content
    else:
        assert responses.statuses == [400]
        assert _wait_for_clean_store(server) == before


def test_put_chunked_body_is_refused_and_leaves_nothing(server: RunningServer) -> None:
    content = make_model_file("chunked")
    head, _ = _build_put_head(server, content, {"Transfer-Encoding": "chunked"})
    before = list_store_files(server.data_dir)
    responses = send_raw_request(server.port, head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))
    assert responses.statuses == [411]
    assert _wait_for_clean_store(server) == before


def test_put_other_content_length_is_refused_before_body(server: RunningServer) -> None:
    content = make_model_file("declared")
    before = list_store_files(server.data_dir)
    for length in (len(content) - 1, len(content) + 1, 1 << 62):
        head, _ = _build_put_head(server, content, {"Content-Length": str(length)})
        # Then the server reads the rest for some seconds before it closes the connection.
        assert send_raw_request(server.port, head, count=1).statuses == [400]
    assert _wait_for_clean_store(server) == before
