"""Malformed HTTP requests as raw bytes, and a function that sends bytes and reads the responses."""

import json
import re
import socket
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from tests.waiting import PATIENCE_SECONDS

# The server closes the connection after its answer, or after another request that was not well formed or not complete.
LAST_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class RawResponses(NamedTuple):
    """The responses on one connection until it was closed: their statuses, and all bytes."""

    statuses: list[int]
    text: bytes


def send_raw_request(port: int, request: bytes, *, count: int | None = None) -> RawResponses:
    """Send bytes on a new connection, and read until the server closes it: see ``LAST_REQUEST``.

    With ``count``, only until so many responses have begun.

    The connection is not half-closed: a server may drop unanswered requests when a client closes its side.
    """
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=2 * PATIENCE_SECONDS) as connection:
        try:
            connection.sendall(request)
            while count is None or len(find_statuses(received)) < count:
                received_bytes = connection.recv(65536)
                if not received_bytes:
                    break
                received += received_bytes
        except ConnectionError:
            # Reset: what was received until then counts.
            pass
    return RawResponses(find_statuses(received), bytes(received))


def find_statuses(received: bytes | bytearray) -> list[int]:
    """Return the status of each response in these bytes."""
    return [int(status) for status in _STATUS.findall(received)]


def generate_malformed_requests() -> Iterator[bytes]:
    """Generate thousands of requests, each malformed in another way."""
    yield from _generate_request_lines()
    yield from _generate_framing()
    yield from _generate_headers()
    yield from _generate_targets()
    yield from _generate_bodies()
    yield from _generate_cut_and_flipped()


def _generate_request_lines() -> Iterator[bytes]:
    """Combine unusual methods, targets and versions."""
    methods = [
        b"GET",
        b"get",
        b"G\x00T",
        b"",
        b" GET",
        b"GET ",
        b"POST",
        b"PUT",
        b"OPTIONS",
        b"TRACE",
        b"CONNECT",
        b"PRI",
    ]
    methods += [b"HEAD", b"BREW", b"\xff\xfe", b"A" * 5000, b"GET\tGET"]
    targets = [
        b"/healthz",
        b"*",
        b"",
        b"http://evil.test/healthz",
        b"//healthz",
        b"/\x00",
        b"/ /",
        b"/%",
        b"/%zz",
        b"\\",
    ]
    targets += [b"evil.test:443", b"/" + b"a" * 70_000, b"/\xff", b"?", b"#", b"/healthz#x"]
    versions = [
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/0.9",
        b"HTTP/2.0",
        b"HTTP/9.9",
        b"HTTP/1.",
        b"http/1.1",
        b"",
        b"X",
        b"HTTP/1.1 ",
    ]
    for method, target, version in product(methods, targets, versions):
        yield b"%s %s %s\r\nHost: 127.0.0.1\r\n\r\n" % (method, target, version)


def _generate_framing() -> Iterator[bytes]:
    """Combine contradictory Content-Length and Transfer-Encoding headers."""
    lengths = [
        b"5",
        b"-1",
        b"+5",
        b"5, 5",
        b"5,6",
        b"0x5",
        b"5 5",
        b"",
        b" ",
        b"99999999999999999999999",
        b"5\x0b",
        b"five",
        b"5.0",
    ]
    transfer_codings = [
        b"chunked",
        b"identity",
        b"chunked, identity",
        b"gzip, chunked",
        b"xchunked",
        b"chunked\x0b",
        b" chunked",
        b"",
        b"CHUNKED,",
    ]
    bodies = [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n"]
    for length, coding, body in product(lengths, transfer_codings, bodies):
        yield _build_post(b"Content-Length: %s\r\nTransfer-Encoding: %s\r\n" % (length, coding), body)
    for first, second in product(lengths, lengths):
        yield _build_post(b"Content-Length: %s\r\nContent-Length: %s\r\n" % (first, second), b"hello")
    for first, second in product(transfer_codings, transfer_codings):
        yield _build_post(b"Transfer-Encoding: %s\r\nTransfer-Encoding: %s\r\n" % (first, second), b"0\r\n\r\n")
    for name in (
        b"Transfer-Encoding ",
        b"Transfer_Encoding",
        b"Transfer-Encoding\t",
        b" Transfer-Encoding",
        b"X: y\nTransfer-Encoding",
    ):
        yield _build_post(b"%s: chunked\r\nContent-Length: 5\r\n" % name, b"0\r\n\r\n")


def _generate_bodies() -> Iterator[bytes]:
    """Combine invalid chunk sizes and line ends, and bodies of another length than declared."""
    sizes = [
        b"5",
        b"5;x=y",
        b"05",
        b"+5",
        b"-5",
        b"0x5",
        b"5 ",
        b" 5",
        b"",
        b"g",
        b"FFFFFFFFFFFFFFFFF",
        b"5" * 500,
        b"5\n",
        b"5\x00",
    ]
    ends = [b"\r\n", b"\n", b"\r", b""]
    for size, end, after in product(
        sizes, ends, [b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"0\r\n", b"", b"0\r\nbad trailer\r\n\r\n"]
    ):
        yield _build_post(b"Transfer-Encoding: chunked\r\n", size + end + b"hello" + end + after)
    for declared, sent in product(
        (0, 1, 5, 100, 1 << 20, 1 << 21, 1 << 62), (b"", b"{", b"{}", b"[" * 50, b"\xff" * 100)
    ):
        yield _build_post(b"Content-Length: %d\r\n" % declared, sent)


def _generate_headers() -> Iterator[bytes]:
    """Combine invalid header names, values and line ends, header counts and Host values."""
    names = [
        b"X-A",
        b"",
        b" ",
        b"X A",
        b"X\x00A",
        b"X\xffA",
        b"X" * 70_000,
        b":",
        b"\tX",
        b"X\rA",
        b"(X)",
        b"Host",
        b"Authorization",
        b"X-Team-ID",
    ]
    values = [
        b"",
        b"a\r\n b",
        b"a\n b",
        b"a\x00b",
        b"\xff\xfe",
        b"a\rb",
        b"y" * 70_000,
        b"a\r\n\tb",
        b"\x7f",
        b"../../etc/passwd",
        b"%0d%0aX: y",
    ]
    for name, value, end in product(names, values, [b"\r\n", b"\n", b"\r"]):
        yield b"GET /api/v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n%s: %s%s\r\n" % (name, value, end)
    for count in (100, 1000, 5000):
        yield b"GET /healthz HTTP/1.1\r\n" + b"X-A: b\r\n" * count + b"\r\n"
    for host in (
        b"",
        b"a b",
        b"evil.test",
        b"127.0.0.1:99999",
        b"[::1",
        b"\xff",
        b"a,b",
        b"http://x",
        b"user@host",
        b"x" * 9000,
        b"127.0.0.1\r\nHost: evil.test",
    ):
        for path in (b"/healthz", b"/api/v1/desktop/pair/start", b"/blobs/models/a/b"):
            yield b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n" % (path, host)
            yield b"GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" % (path, host)


def _generate_targets() -> Iterator[bytes]:
    """Combine path prefixes with traversal and encoding variants."""
    path_variants = [
        b"//",
        b"/;/",
        b"/./",
        b"/../",
        b"/%2e%2e/",
        b"/%2f",
        b"/%252f",
        b"/..;/",
        b"\\",
        b"/%5c",
        b"/%00",
        b"/%c0%ae%c0%ae/",
    ]
    path_variants += [
        b"/%ff",
        b"/%u002f",
        b";a=b/",
        b"?",
        b"%3f",
        b"#",
        b"%23",
        b"%0d%0a",
        b"/.",
        b"/ ",
        b"/%20",
        b"/\xe2\x80\xae",
        b"/..%5c..%5c",
    ]
    for before, variant, after in product(
        [b"", b"/api", b"/api/v1", b"/api/v1/models", b"/blobs", b"/blobs/models", b"/healthz", b"/docs", b"/metrics"],
        path_variants,
        [b"", b"models", b"etc/passwd", b"modelyard.sqlite3", b"healthz"],
    ):
        for method in (b"GET", b"PUT"):
            yield b"%s %s%s%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n" % (
                method,
                before,
                variant,
                after,
            )


def _generate_cut_and_flipped() -> Iterator[bytes]:
    """Cut a valid request after each byte, and flip bits of each byte of its head."""
    body = json.dumps({"email_address": "a@b.test", "user_password": "x"}).encode()
    whole = _build_post(b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body), body)
    head = whole.index(b"\r\n\r\n")
    for cut in range(1, len(whole)):
        yield whole[:cut]
    for place in range(head):
        for mask in (0x01, 0x20, 0x80):
            yield whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :]


def _build_post(headers: bytes, body: bytes) -> bytes:
    # This route refuses cheaply: it hashes no password for an unknown device code.
    return b"POST /api/v1/desktop/pair/poll HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n%s" % (headers, body)
