"""A small HTTP/1.1 server on loopback that stores and serves bytes, and on demand does it wrong.

Well-behaved by default: PUT keeps a body under its path, GET serves it whole or one range of it, with strong ETags.
Each behaviour in ``script`` is used for one request, in the order of arrival, and then the server is good again.
"""

import hashlib
import re
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass
class Exchange:
    """One request and the socket to answer it on."""

    server: "MisbehavingServer"
    sock: socket.socket
    method: str
    path: str
    headers: dict[str, str]
    ahead: bytes  # what came of the body together with the head
    keep: bool = True

    @property
    def range(self) -> tuple[int, int] | None:
        match = _RANGE.fullmatch(self.headers.get("range", ""))
        return (int(match[1]), int(match[2]) + 1) if match else None

    def take(self, count: int) -> bytes:
        """Read ``count`` bytes of the body, or what comes before its end."""
        pieces = [self.ahead[:count]]
        self.ahead = self.ahead[count:]
        left = count - len(pieces[0])
        while left and (piece := self.sock.recv(min(left, 1 << 20))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def body(self) -> bytes:
        return self.take(int(self.headers["content-length"]))

    def head(self, status: int, **headers: str | int) -> None:
        lines = [
            f"HTTP/1.1 {status} Something",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def answer(self, status: int, body: bytes = b"", **headers: str | int) -> None:
        self.head(status, Content_Length=len(body), **headers)
        self.sock.sendall(body)

    def hang_up(self) -> None:
        self.keep = False

    def reset(self) -> None:
        """End the connection with a TCP reset instead of a polite close."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.keep = False

    def wait_for_client_to_leave(self) -> None:
        with suppress(OSError):
            while self.sock.recv(1 << 16):
                pass
        self.keep = False


Behaviour = Callable[[Exchange], None]


@dataclass
class MisbehavingServer:
    """See the module. ``seen`` holds every request in the order of arrival."""

    tls: ssl.SSLContext | None = None
    objects: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    script: deque[Behaviour] = field(default_factory=deque)
    always: Behaviour | None = None
    seen: list[Exchange] = field(default_factory=list)
    open_connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        scheme = "https" if self.tls else "http"
        self.base = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str) -> str:
        return f"{self.base}{path}?signature=secret"

    def put(self, path: str, content: bytes) -> str:
        """Store an object; gives its SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        self.objects[path], self.etags[path] = content, f'"{digest}"'
        return digest

    def ranges_asked(self) -> list[tuple[int, int]]:
        return [exchange.range for exchange in self.seen if exchange.range is not None]

    def wait_until_quiet(self) -> None:
        """Wait until no connection is open, which is how a leaked socket shows."""
        deadline = time.monotonic() + 2
        while self.open_connections and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.open_connections == 0, "the client left a socket open"

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        with self._lock:
            for sock in self._open:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with self._counted(sock), suppress(OSError), self._wire(sock) as wire:
            while (exchange := self._exchange(wire)) is not None:
                self._behaviour()(exchange)
                if not exchange.keep:
                    return

    def _wire(self, sock: socket.socket) -> socket.socket:
        return self.tls.wrap_socket(sock, server_side=True) if self.tls else sock

    @contextmanager
    def _counted(self, sock: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(sock)
            self.open_connections += 1
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(sock)
                self.open_connections -= 1

    def _behaviour(self) -> Behaviour:
        with self._lock:
            return self.script.popleft() if self.script else self.always or behave

    def _exchange(self, wire: socket.socket) -> Exchange | None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = wire.recv(1 << 16)
            if not piece:
                return None
            head += piece
        head, ahead = head.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        exchange = Exchange(self, wire, method, urlsplit(target).path, headers, ahead)
        self.seen.append(exchange)
        return exchange


def behave(exchange: Exchange) -> None:
    """Do as the store does."""
    if exchange.method == "PUT":
        _keep(exchange)
    else:
        _serve(exchange)


def _keep(exchange: Exchange) -> None:
    server, path = exchange.server, exchange.path
    if exchange.headers.get("if-none-match") == "*" and path in server.objects:
        exchange.answer(412, b'{"detail": "The key is taken.", "error_code": "key_taken"}')
        exchange.hang_up()
        return
    server.put(path, exchange.body())
    exchange.answer(200, ETag=server.etags[path])


def _serve(exchange: Exchange, *, flip: bool = False) -> None:
    server, path = exchange.server, exchange.path
    content, etag = server.objects.get(path), server.etags.get(path, "")
    if content is None:
        exchange.answer(404, b'{"detail": "There is no such key."}')
        return
    asked = exchange.range
    if asked is None or exchange.headers.get("if-range", etag) != etag:
        exchange.answer(200, content, ETag=etag)
        return
    start, end = asked
    if end > len(content):
        exchange.answer(416, Content_Range=f"bytes */{len(content)}")
        return
    piece = content[start:end]
    if flip:
        piece = bytes([piece[0] ^ 1]) + piece[1:]
    exchange.answer(206, piece, ETag=etag, Content_Range=f"bytes {start}-{end - 1}/{len(content)}")


def _head_of_range(exchange: Exchange, **changed: str | int) -> bytes:
    """Send the right head, but for what is ``changed``; gives the right body."""
    content = exchange.server.objects[exchange.path]
    start, end = exchange.range or (0, len(content))
    right: dict[str, str | int] = {
        "Content_Length": end - start,
        "Content_Range": f"bytes {start}-{end - 1}/{len(content)}",
        "ETag": exchange.server.etags[exchange.path],
    }
    exchange.head(206 if exchange.range else 200, **(right | changed))
    return content[start:end]


def answers(status: int, body: bytes = b"", **headers: str | int) -> Behaviour:
    """Answer so at once, without reading a body, and hang up."""

    def behaviour(exchange: Exchange) -> None:
        exchange.answer(status, body, **headers)
        exchange.hang_up()

    return behaviour


def stalls_after(count: int) -> Behaviour:
    """Send ``count`` bytes of the body and then nothing, without closing."""

    def behaviour(exchange: Exchange) -> None:
        exchange.sock.sendall(_head_of_range(exchange)[:count])
        exchange.wait_for_client_to_leave()

    return behaviour


def truncates_after(count: int) -> Behaviour:
    """Send ``count`` bytes of the body and close."""

    def behaviour(exchange: Exchange) -> None:
        exchange.sock.sendall(_head_of_range(exchange)[:count])
        exchange.hang_up()

    return behaviour


def resets_after(count: int) -> Behaviour:
    """Send ``count`` bytes of the body and reset the connection."""

    def behaviour(exchange: Exchange) -> None:
        exchange.sock.sendall(_head_of_range(exchange)[:count])
        time.sleep(0.05)  # a reset overtakes what it follows too closely
        exchange.reset()

    return behaviour


def trickles(piece: int, pause_seconds: float) -> Behaviour:
    """Send the right body slowly."""

    def behaviour(exchange: Exchange) -> None:
        body = _head_of_range(exchange)
        for at in range(0, len(body), piece):
            exchange.sock.sendall(body[at : at + piece])
            time.sleep(pause_seconds)

    return behaviour


def ignores_range(exchange: Exchange) -> None:
    """Answer a range with everything."""
    exchange.headers.pop("range", None)
    behave(exchange)


def truncates_whole_after(count: int) -> Behaviour:
    """Answer a range with everything, and close after ``count`` bytes."""

    def behaviour(exchange: Exchange) -> None:
        exchange.headers.pop("range", None)
        truncates_after(count)(exchange)

    return behaviour


def sends_another_range(exchange: Exchange) -> None:
    """Say and send the range one byte further on."""
    start, end = exchange.range or (0, 0)
    content = exchange.server.objects[exchange.path]
    exchange.answer(206, content[start + 1 : end + 1], Content_Range=f"bytes {start + 1}-{end}/{len(content)}")


def says_another_size(exchange: Exchange) -> None:
    """Send the right range of an object that is one byte longer."""
    start, end = exchange.range or (0, 0)
    content = exchange.server.objects[exchange.path]
    exchange.sock.sendall(_head_of_range(exchange, Content_Range=f"bytes {start}-{end - 1}/{len(content) + 1}"))


def codes_it(exchange: Exchange) -> None:
    """Say that the body is gzip."""
    exchange.sock.sendall(_head_of_range(exchange, Content_Encoding="gzip"))


def announces_more(exchange: Exchange) -> None:
    """Send one byte more than the range has, and say so."""
    start, end = exchange.range or (0, len(exchange.server.objects[exchange.path]))
    exchange.sock.sendall(_head_of_range(exchange, Content_Length=end - start + 1) + b"x")


def sends_more_than_announced(exchange: Exchange) -> None:
    """Send a tail after the body, where the next answer should begin."""
    exchange.sock.sendall(_head_of_range(exchange) + b"HTTP/1.1 200 Surprise\r\n\r\n")


def chunks(exchange: Exchange, *, extra: bytes = b"") -> None:
    """Send the body in chunks, without a length."""
    content = exchange.server.objects[exchange.path]
    start, end = exchange.range or (0, len(content))
    headers = {"Content_Range": f"bytes {start}-{end - 1}/{len(content)}"} if exchange.range else {}
    exchange.head(206 if exchange.range else 200, Transfer_Encoding="chunked", **headers)
    body = content[start:end] + extra
    for at in range(0, len(body), 50_000):
        piece = body[at : at + 50_000]
        exchange.sock.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    exchange.sock.sendall(b"0\r\n\r\n")


def chunks_too_much(exchange: Exchange) -> None:
    """Send one byte more than asked for, in chunks, so that no length betrays it."""
    chunks(exchange, extra=b"x")


def flips_a_bit(exchange: Exchange) -> None:
    """Serve the range with one bit wrong."""
    _serve(exchange, flip=True)


def changes_object(content: bytes) -> Behaviour:
    """Put other bytes under the path, then behave."""

    def behaviour(exchange: Exchange) -> None:
        exchange.server.put(exchange.path, content)
        behave(exchange)

    return behaviour


def changes_etag_and_ignores_if_range(exchange: Exchange) -> None:
    """Serve a range as if of the object asked for, under another ETag."""
    exchange.sock.sendall(_head_of_range(exchange, ETag='"another"'))


def speaks_no_http(exchange: Exchange) -> None:
    """Answer with something else."""
    exchange.sock.sendall(b"220 mail.example ESMTP\r\n")
    exchange.hang_up()


def stops_reading_after(count: int) -> Behaviour:
    """Take ``count`` bytes of a body and then nothing, without closing."""

    def behaviour(exchange: Exchange) -> None:
        exchange.take(count)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and _is_open(exchange.sock):
            time.sleep(0.02)
        exchange.hang_up()

    return behaviour


def _is_open(sock: socket.socket) -> bool:
    """Whether the client still holds its end; reads nothing."""
    state = struct.unpack("B", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))[0]
    return int(state) == 1  # TCP_ESTABLISHED


def resets_after_reading(count: int) -> Behaviour:
    """Take ``count`` bytes of a body and reset the connection."""

    def behaviour(exchange: Exchange) -> None:
        exchange.take(count)
        exchange.reset()

    return behaviour


def loses_the_answer(exchange: Exchange) -> None:
    """Keep the body, and hang up instead of saying so."""
    exchange.server.put(exchange.path, exchange.body())
    exchange.hang_up()
