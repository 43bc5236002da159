"""A small HTTP/1.1 object store on loopback with injectable faults (``faults``).

By default it is correct: PUT stores a body under its path, GET serves it whole or in one range, with strong ETags. Each
behavior in ``script`` is used for one request, in order of arrival; afterwards the server is correct again.
"""

import hashlib
import re
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.waiting import wait_until

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass
class Exchange:
    """A received request and the socket for its response."""

    server: "FaultyServer"
    sock: socket.socket
    method: str
    path: str
    headers: dict[str, str]
    ahead: bytes  # body bytes that arrived together with the head
    keeps_alive: bool = True

    @property
    def range(self) -> tuple[int, int] | None:
        match = _RANGE.fullmatch(self.headers.get("range", ""))
        return (int(match[1]), int(match[2]) + 1) if match else None

    def read(self, count: int) -> bytes:
        """Read ``count`` bytes of the body, or fewer if it ends earlier."""
        pieces = [self.ahead[:count]]
        self.ahead = self.ahead[count:]
        left = count - len(pieces[0])
        while left and (piece := self.sock.recv(min(left, 1 << 20))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def read_body(self) -> bytes:
        return self.read(int(self.headers["content-length"]))

    def send_head(self, status: int, **headers: str | int) -> None:
        lines = [
            f"HTTP/1.1 {status} Something",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def respond(self, status: int, body: bytes = b"", **headers: str | int) -> None:
        self.send_head(status, Content_Length=len(body), **headers)
        self.sock.sendall(body)

    def close_connection(self) -> None:
        self.keeps_alive = False

    def reset(self) -> None:
        """Close the connection with a TCP reset instead of a graceful close."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.keeps_alive = False

    def wait_for_client_to_leave(self) -> None:
        with suppress(OSError):
            while self.sock.recv(1 << 16):
                pass
        self.keeps_alive = False


Behavior = Callable[[Exchange], None]


@dataclass
class FaultyServer:
    """An object store with injectable faults (see the module). ``seen`` lists all requests in order of arrival."""

    tls: ssl.SSLContext | None = None
    objects: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    script: deque[Behavior] = field(default_factory=deque)
    always: Behavior | None = None
    seen: list[Exchange] = field(default_factory=list)
    open_connections: int = 0
    accepted_connections: int = 0

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
        """Store an object and return its SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        self.objects[path], self.etags[path] = content, f'"{digest}"'
        return digest

    def list_requested_ranges(self) -> list[tuple[int, int]]:
        return [exchange.range for exchange in self.seen if exchange.range is not None]

    def wait_until_quiet(self) -> None:
        """Wait until no connection is open; fail if the client leaks one."""
        wait_until(lambda: self.open_connections == 0)

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
            while (exchange := self._open_exchange(wire)) is not None:
                self._behaviour()(exchange)
                if not exchange.keeps_alive:
                    return

    def _wire(self, sock: socket.socket) -> socket.socket:
        return self.tls.wrap_socket(sock, server_side=True) if self.tls else sock

    @contextmanager
    def _counted(self, sock: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(sock)
            self.open_connections += 1
            self.accepted_connections += 1
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(sock)
                self.open_connections -= 1

    def _behaviour(self) -> Behavior:
        with self._lock:
            return self.script.popleft() if self.script else self.always or serve_correctly

    def _open_exchange(self, wire: socket.socket) -> Exchange | None:
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


def serve_correctly(exchange: Exchange) -> None:
    """Store or serve the object without a fault."""
    if exchange.method == "PUT":
        _keep(exchange)
    else:
        serve_object(exchange)


def _keep(exchange: Exchange) -> None:
    server, path = exchange.server, exchange.path
    if exchange.headers.get("if-none-match") == "*" and path in server.objects:
        exchange.respond(412, b'{"detail": "The key is taken.", "error_code": "key_taken"}')
        exchange.close_connection()
        return
    server.put(path, exchange.read_body())
    exchange.respond(200, ETag=server.etags[path])


def serve_object(exchange: Exchange, *, flip: bool = False) -> None:
    """Respond with the object or the requested range of it; ``flip`` changes one bit of the range."""
    server, path = exchange.server, exchange.path
    content, etag = server.objects.get(path), server.etags.get(path, "")
    if content is None:
        exchange.respond(404, b'{"detail": "There is no such key."}')
        return
    requested = exchange.range
    if requested is None or exchange.headers.get("if-range", etag) != etag:
        exchange.respond(200, content, ETag=etag)
        return
    start, end = requested
    if end > len(content):
        exchange.respond(416, Content_Range=f"bytes */{len(content)}")
        return
    piece = content[start:end]
    if flip:
        piece = bytes([piece[0] ^ 1]) + piece[1:]
    exchange.respond(206, piece, ETag=etag, Content_Range=f"bytes {start}-{end - 1}/{len(content)}")
