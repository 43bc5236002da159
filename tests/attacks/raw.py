"""Requests as bytes: what no HTTP library would send."""

import json
import re
import socket
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

_SILENCE_SECONDS, _PATIENCE_SECONDS = 0.6, 30.0
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class Answers(NamedTuple):
    """What came back on one connection before it was closed or fell silent."""

    statuses: list[int]
    text: bytes


def exchange(port: int, request: bytes, *, at_least: int = 0) -> Answers:
    """Send these bytes on a new connection, and read until it is closed, or silent after ``at_least`` answers.

    It stays open for more: a server may drop what it has not answered yet when a client ends its side.
    """
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS) as connection:
        try:
            connection.sendall(request)
            while True:
                is_enough = len(_STATUS.findall(received)) >= at_least
                connection.settimeout(_SILENCE_SECONDS if is_enough else _PATIENCE_SECONDS)
                piece = connection.recv(65536)
                if not piece:
                    break
                received += piece
        except OSError:
            # Reset or silent: what was received until then counts.
            pass
    return Answers([int(found) for found in _STATUS.findall(received)], bytes(received))


def malformed_requests() -> Iterator[bytes]:
    """Thousands of requests, each wrong in its own way."""
    yield from _request_lines()
    yield from _framing()
    yield from _headers()
    yield from _targets()
    yield from _bodies()
    yield from _cut_and_flipped()


def _request_lines() -> Iterator[bytes]:
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


def _framing() -> Iterator[bytes]:
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
    codings = [
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
    for length, coding, body in product(lengths, codings, bodies):
        yield _post(b"Content-Length: %s\r\nTransfer-Encoding: %s\r\n" % (length, coding), body)
    for first, second in product(lengths, lengths):
        yield _post(b"Content-Length: %s\r\nContent-Length: %s\r\n" % (first, second), b"hello")
    for first, second in product(codings, codings):
        yield _post(b"Transfer-Encoding: %s\r\nTransfer-Encoding: %s\r\n" % (first, second), b"0\r\n\r\n")
    for name in (
        b"Transfer-Encoding ",
        b"Transfer_Encoding",
        b"Transfer-Encoding\t",
        b" Transfer-Encoding",
        b"X: y\nTransfer-Encoding",
    ):
        yield _post(b"%s: chunked\r\nContent-Length: 5\r\n" % name, b"0\r\n\r\n")


def _bodies() -> Iterator[bytes]:
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
        yield _post(b"Transfer-Encoding: chunked\r\n", size + end + b"hello" + end + after)
    for declared, sent in product(
        (0, 1, 5, 100, 1 << 20, 1 << 21, 1 << 62), (b"", b"{", b"{}", b"[" * 50, b"\xff" * 100)
    ):
        yield _post(b"Content-Length: %d\r\n" % declared, sent)


def _headers() -> Iterator[bytes]:
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


def _targets() -> Iterator[bytes]:
    twists = [
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
    twists += [
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
    for before, twist, after in product(
        [b"", b"/api", b"/api/v1", b"/api/v1/models", b"/blobs", b"/blobs/models", b"/healthz", b"/docs", b"/metrics"],
        twists,
        [b"", b"models", b"etc/passwd", b"modelyard.sqlite3", b"healthz"],
    ):
        for method in (b"GET", b"PUT"):
            yield b"%s %s%s%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n" % (method, before, twist, after)


def _cut_and_flipped() -> Iterator[bytes]:
    body = json.dumps({"email_address": "a@b.test", "user_password": "x"}).encode()
    whole = _post(b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body), body)
    head = whole.index(b"\r\n\r\n")
    for cut in range(1, len(whole)):
        yield whole[:cut]
    for place in range(head):
        for mask in (0x01, 0x20, 0x80):
            yield whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :]


def _post(headers: bytes, body: bytes) -> bytes:
    # The address whose refusal is cheap: no password is hashed for a token that nobody has.
    return b"POST /api/v1/desktop/pair/poll HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n%s" % (headers, body)
