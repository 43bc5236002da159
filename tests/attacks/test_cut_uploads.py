"""Uploads that lie about their length or stop half-way, byte by byte on a socket."""

import socket
import time
from urllib.parse import urlsplit

from tests.attacks.raw import exchange
from tests.attacks.untouched import tree
from tests.running import RunningServer
from tests.server.places import only_on
from tests.server.world import a_model_file

pytestmark = only_on("folder", reason="these are attacks on the embedded store; a bucket has its own")


def _request(server: RunningServer, content: bytes, framing: dict[str, str] | None = None) -> tuple[bytes, str]:
    """The head of a PUT of this content, and the storage key."""
    ticket = server.owner().presign(content).json()
    url = urlsplit(ticket["upload_url"])
    headers = ticket["upload_headers"] if framing is None else {"If-None-Match": "*", **framing}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n{lines}\r\n".encode(), ticket["storage_key"]


def _settled(server: RunningServer) -> dict[str, int]:
    """The store's files once the server has put away what was cut."""
    ends = time.monotonic() + 30
    # One look at a time: what the server begins only afterwards belongs to the next.
    files = tree(server.data_dir)
    while any(name.startswith("incoming/") for name in files) and time.monotonic() < ends:
        time.sleep(0.02)
        files = tree(server.data_dir)
    return files


def test_a_body_cut_anywhere_leaves_nothing_and_the_same_url_still_works(server: RunningServer) -> None:
    content = a_model_file(size=3 << 20)
    head, _ = _request(server, content)
    before = tree(server.data_dir)
    for sent in (0, 1, len(content) // 2, len(content) - 1):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head + content[:sent])
        assert _settled(server) == before, sent
    assert exchange(server.port, head + content, at_least=1).statuses == [200]


def test_bytes_after_the_declared_ones_are_no_part_of_the_file(server: RunningServer) -> None:
    content = a_model_file("after")
    head, key = _request(server, content)
    before = tree(server.data_dir)
    answers = exchange(server.port, head + content + b"more", at_least=1)
    stored = server.data_dir / "objects" / key / "bytes"
    # The parser may see the garbage before the upload is answered: then the connection and the upload end together.
    if answers.statuses[0] == 200:
        assert stored.read_bytes() == content
    else:
        assert answers.statuses == [400]
        assert _settled(server) == before


def test_a_body_of_unknown_length_is_refused_and_leaves_nothing(server: RunningServer) -> None:
    content = a_model_file("chunked")
    head, _ = _request(server, content, {"Transfer-Encoding": "chunked"})
    before = tree(server.data_dir)
    answers = exchange(server.port, head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content), at_least=1)
    assert answers.statuses == [411]
    assert _settled(server) == before


def test_another_declared_length_is_refused_before_the_body(server: RunningServer) -> None:
    content = a_model_file("declared")
    before = tree(server.data_dir)
    for length in (len(content) - 1, len(content) + 1, 1 << 62):
        head, _ = _request(server, content, {"Content-Length": str(length)})
        assert exchange(server.port, head, at_least=1).statuses == [400]
    assert _settled(server) == before
