"""An HTTP/1.1 proxy that injects faults: dropped, replaced, held and throttled exchanges, and flipped bits.

It parses just enough HTTP/1.1 to separate the messages of a connection, and records every exchange.
"""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import parse_qs, urlsplit

from modelyard.transfer.options import BandwidthLimit
from tests.journeys.http_messages import read_body, read_chunked_body, read_head
from tests.waiting import PATIENCE_SECONDS, pause, wait_until

_WITHOUT_BODY = frozenset({204, 304})


@dataclass
class Exchange:
    """One request and its response. ``sent`` and ``received`` count bytes of bodies, as the client sees them."""

    method: str
    path: str
    query: dict[str, str]
    range: str | None
    size: int
    sent: int = 0
    received: int = 0
    status: int | None = None  # None: the client got no response
    is_over: bool = False

    @property
    def is_blob_transfer(self) -> bool:
        """Whether it transfers a file's bytes, which only signed URLs do."""
        return self.path.startswith("/blobs/")


@dataclass(frozen=True)
class DropResponse:
    """The server gets the whole request and executes it; its response is dropped and the connection closed."""


@dataclass(frozen=True)
class RespondInstead:
    """The request is not forwarded; the client gets this response instead."""

    status: int
    body: bytes


@dataclass(frozen=True)
class FlipBit:
    """One bit of the byte at ``offset`` is flipped: in the request body of a PUT, in the response body of a GET."""

    offset: int


@dataclass(frozen=True)
class HoldRequest:
    """The request head has arrived, and is forwarded only once ``release`` is set."""

    release: threading.Event


Fault = DropResponse | RespondInstead | FlipBit | HoldRequest
Rule = Callable[[Exchange], Fault | None]


class FaultProxy:
    """The proxy, listening at ``url`` on a thread of its own.

    ``rule`` chooses the fault of each exchange; ``bandwidth_limit`` throttles all bodies together. ``exchanges`` are
    those since the start or the last ``reset_exchanges``; ``failed_connections`` those that the server refused.
    """

    def __init__(self, registry_url: str) -> None:
        self.rule: Rule | None = None
        self.bandwidth_limit: BandwidthLimit | None = None
        self._byte_limit: tuple[str, int] | None = None
        self.exchanges: list[Exchange] = []
        self.failed_connections = 0
        self._registry = urlsplit(registry_url)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def forward_to(self, registry_url: str) -> None:
        """Forward new connections to another address."""
        self._registry = urlsplit(registry_url)

    def inject_once(self, fault: Fault, method: str, path: str) -> None:
        """Inject the fault into the first request with this method whose whole path matches the pattern ``path``."""
        remaining_faults = [fault]

        def rule(exchange: Exchange) -> Fault | None:
            matches = exchange.method == method and re.fullmatch(path, exchange.path)
            return remaining_faults.pop() if matches and remaining_faults else None

        self.rule = rule

    def list_blob_exchanges(self, method: str) -> list[Exchange]:
        """List the recorded exchanges of this method that transfer a file's bytes."""
        return [each for each in self.exchanges if each.is_blob_transfer and each.method == method]

    def count_blob_bytes(self, method: str) -> int:
        """Count the bytes of files transferred in the recorded exchanges, up (PUT) or down (GET)."""
        return sum(each.sent if method == "PUT" else each.received for each in self.list_blob_exchanges(method))

    @contextmanager
    def pausing_bytes_after(self, method: str, count: int) -> Iterator[None]:
        """Stop forwarding bodies once ``count`` bytes of files have passed, until the block ends."""
        self._byte_limit = method, count
        try:
            yield
        finally:
            self._byte_limit = None

    def wait_for_blob_bytes(self, method: str, count: int) -> None:
        """Wait until ``count`` bytes of files have been transferred."""
        wait_until(
            lambda: self.count_blob_bytes(method) >= count,
            describe=lambda: f"Only {self.count_blob_bytes(method)} of {count} bytes have passed.",
        )

    def wait_until_idle(self) -> None:
        """Wait until every recorded exchange is over."""
        wait_until(lambda: all(each.is_over for each in list(self.exchanges)))

    def reset_exchanges(self) -> None:
        """Drop the recorded exchanges, so that counts begin at zero again."""
        self.exchanges = []

    def close(self) -> None:
        """Stop accepting connections; open ones continue."""
        self._is_closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_closed:
            with suppress(OSError):
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with (
            client,
            suppress(OSError),
            client.makefile("rb") as requests,
            closing(self._connect()) as registry,
            registry.makefile("rb") as responses,
        ):
            while _forward_exchange(self, _ConnectionPair(client, requests, registry, responses)):
                pass

    def _connect(self) -> socket.socket:
        """Open a connection to the server; count those that it refuses."""
        try:
            address = (self._registry.hostname or "", self._registry.port or 80)
            return socket.create_connection(address, timeout=2 * PATIENCE_SECONDS)
        except OSError:
            self.failed_connections += 1
            raise

    def throttle(self, count: int) -> None:
        """Wait while the byte limit holds bodies back, then as the bandwidth limit requires for ``count`` bytes."""
        wait_until(lambda: not self._is_held_back(), 10 * PATIENCE_SECONDS)
        if self.bandwidth_limit is not None and (delay := self.bandwidth_limit.compute_delay(count)) > 0:
            pause(delay)

    def _is_held_back(self) -> bool:
        limit = self._byte_limit
        return limit is not None and self.count_blob_bytes(limit[0]) >= limit[1]


@dataclass(frozen=True)
class _ConnectionPair:
    """One connection of a client, and the connection to the server that belongs to it."""

    client: socket.socket
    requests: BinaryIO
    registry: socket.socket
    responses: BinaryIO


def _forward_exchange(proxy: FaultProxy, connections: _ConnectionPair) -> bool:
    """Forward one request and its response; return False if the connection is over."""
    head, first, headers = read_head(connections.requests)
    if not head:
        return False
    method, target, _ = first.split(" ", 2)
    path = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(path.query).items()}
    size = int(headers.get("content-length", 0))
    exchange = Exchange(method, path.path, query, headers.get("range"), size)
    proxy.exchanges.append(exchange)
    try:
        return _forward_request(proxy, connections, exchange, head)
    finally:
        exchange.is_over = True


def _forward_request(proxy: FaultProxy, connections: _ConnectionPair, exchange: Exchange, head: bytes) -> bool:
    """Apply the fault of a request or forward it with its body; return False if the connection is over."""
    fault = proxy.rule(exchange) if proxy.rule is not None else None
    if isinstance(fault, RespondInstead):
        for _ in read_body(connections.requests, exchange.size):
            pass
        connections.client.sendall(b"HTTP/1.1 %d No\r\nContent-Type: application/problem+json\r\n" % fault.status)
        connections.client.sendall(b"Content-Length: %d\r\n\r\n" % len(fault.body))
        connections.client.sendall(b"" if exchange.method == "HEAD" else fault.body)
        return True
    if isinstance(fault, HoldRequest):
        fault.release.wait()
    connections.registry.sendall(head)
    flip_bit = _make_bit_flipper(fault if exchange.method == "PUT" else None)
    for piece in read_body(connections.requests, exchange.size):
        proxy.throttle(len(piece))
        # A server may refuse a request and close the connection before it has read the whole body.
        with suppress(BrokenPipeError, ConnectionResetError):
            connections.registry.sendall(flip_bit(piece))
        exchange.sent += len(piece)
    return _forward_response(proxy, connections, exchange, fault)


def _forward_response(proxy: FaultProxy, connections: _ConnectionPair, exchange: Exchange, fault: Fault | None) -> bool:
    """Forward the response, or drop it; return False if the connection is over."""
    head, first, headers = read_head(connections.responses)
    if not head:
        return False
    status = int(first.split(" ")[1])
    size = 0 if status in _WITHOUT_BODY or exchange.method == "HEAD" else int(headers.get("content-length", 0))
    if isinstance(fault, DropResponse):
        for _ in read_body(connections.responses, size):
            pass
        return False
    exchange.status = status
    connections.client.sendall(head)
    if "transfer-encoding" in headers and exchange.method != "HEAD":
        # Only JSON responses are chunked, never a file's bytes.
        for piece in read_chunked_body(connections.responses):
            connections.client.sendall(piece)
        return True
    flip_bit = _make_bit_flipper(fault if exchange.method == "GET" else None)
    for piece in read_body(connections.responses, size):
        proxy.throttle(len(piece) if exchange.is_blob_transfer else 0)
        connections.client.sendall(flip_bit(piece))
        exchange.received += len(piece)
    return headers.get("connection", "").lower() != "close"


def _make_bit_flipper(fault: Fault | None) -> Callable[[bytes], bytes]:
    """Return a function that returns each piece of one body, with the one bit of a ``FlipBit`` flipped."""
    bytes_seen = 0

    def flip_bit(piece: bytes) -> bytes:
        nonlocal bytes_seen
        start, bytes_seen = bytes_seen, bytes_seen + len(piece)
        if not (isinstance(fault, FlipBit) and start <= fault.offset < bytes_seen):
            return piece
        changed = bytearray(piece)
        changed[fault.offset - start] ^= 0x10
        return bytes(changed)

    return flip_bit
