"""A proxy between a program and a registry, for what networks do: slow down, lose answers, turn bits, say no.

It speaks just enough HTTP/1.1 to know one request from the next, and counts what passes.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import parse_qs, urlsplit

from modelyard.transfer.network import Pace
from tests.journeys.http_messages import chunks, head_of, pieces

_WITHOUT_BODY = frozenset({204, 304})


@dataclass
class Exchange:
    """One request and its answer. ``sent`` and ``received`` count bytes of bodies, as the client sees them."""

    method: str
    path: str
    query: dict[str, str]
    range: str | None
    size: int
    sent: int = 0
    received: int = 0
    status: int | None = None  # None: no answer came by
    is_over: bool = False

    @property
    def is_of_bytes(self) -> bool:
        """Whether it moves a file's bytes, which only signed URLs do."""
        return self.path.startswith("/blobs/")


@dataclass(frozen=True)
class LoseAnswer:
    """The registry does it all, and the client never hears of it."""


@dataclass(frozen=True)
class AnswerInstead:
    """The request goes nowhere; this is what the client hears."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Flip:
    """One bit of the body is turned, ``at`` this byte: of the request in a PUT, of the answer in a GET."""

    at: int


@dataclass(frozen=True)
class Hold:
    """The request has arrived, and nothing more happens before ``let_go`` is set."""

    let_go: threading.Event


Fault = LoseAnswer | AnswerInstead | Flip | Hold
Rule = Callable[[Exchange], Fault | None]


class Between:
    """The proxy at ``url``. ``rule`` chooses what goes wrong; ``pace`` slows bodies down, all together."""

    def __init__(self, registry_url: str) -> None:
        self.rule: Rule | None = None
        self.pace: Pace | None = None
        self._most: tuple[str, int] | None = None
        self.exchanges: list[Exchange] = []
        self._registry = urlsplit(registry_url)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, registry_url: str) -> None:
        """From the next connection on, go to another address."""
        self._registry = urlsplit(registry_url)

    def once(self, fault: Fault, method: str, path: str) -> None:
        """Let the first request with this method, whose path matches ``path``, meet the fault."""
        waiting = [fault]

        def rule(exchange: Exchange) -> Fault | None:
            is_it = exchange.method == method and re.fullmatch(path, exchange.path)
            return waiting.pop() if is_it and waiting else None

        self.rule = rule

    def of_bytes(self, method: str) -> list[Exchange]:
        return [each for each in self.exchanges if each.is_of_bytes and each.method == method]

    def moved(self, method: str) -> int:
        """How many bytes of files have passed so far, up (PUT) or down (GET)."""
        return sum(each.sent if method == "PUT" else each.received for each in self.of_bytes(method))

    @contextmanager
    def holding_after(self, method: str, count: int) -> Iterator[None]:
        """Inside the block no more bytes of files pass once ``count`` have, so that nothing ends before its time."""
        self._most = method, count
        try:
            yield
        finally:
            self._most = None

    def wait_until_moved(self, method: str, count: int, seconds: float = 60) -> None:
        ends = time.monotonic() + seconds
        while self.moved(method) < count:
            assert time.monotonic() < ends, f"Only {self.moved(method)} of {count} bytes have passed."
            time.sleep(0.002)

    def wait_until_quiet(self, seconds: float = 10) -> None:
        """Wait until no request is on its way."""
        ends = time.monotonic() + seconds
        while not all(each.is_over for each in list(self.exchanges)):
            assert time.monotonic() < ends, "A request is still on its way."
            time.sleep(0.005)

    def forget(self) -> None:
        """Count from nothing again."""
        self.exchanges = []

    def close(self) -> None:
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
        with client, suppress(OSError), client.makefile("rb") as requests:
            address = (self._registry.hostname or "", self._registry.port or 80)
            with (
                closing(socket.create_connection(address, timeout=120)) as registry,
                registry.makefile("rb") as answers,
            ):
                while _carried(self, _Line(client, requests, registry, answers)):
                    pass

    def slow_down(self, count: int) -> None:
        while self._most is not None and self.moved(self._most[0]) >= self._most[1]:
            time.sleep(0.002)
        if self.pace is not None and (delay := self.pace.delay(count)) > 0:
            time.sleep(delay)


@dataclass(frozen=True)
class _Line:
    """One connection of a client and the one of ours that goes with it."""

    client: socket.socket
    requests: BinaryIO
    registry: socket.socket
    answers: BinaryIO


def _carried(between: Between, line: _Line) -> bool:
    """Carry one request and its answer; False if the connection is over."""
    head, first, headers = head_of(line.requests)
    if not head:
        return False
    method, target, _ = first.split(" ", 2)
    path = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(path.query).items()}
    size = int(headers.get("content-length", 0))
    exchange = Exchange(method, path.path, query, headers.get("range"), size)
    between.exchanges.append(exchange)
    try:
        return _answered(between, line, exchange, head)
    finally:
        exchange.is_over = True


def _answered(between: Between, line: _Line, exchange: Exchange, head: bytes) -> bool:
    fault = between.rule(exchange) if between.rule is not None else None
    if isinstance(fault, AnswerInstead):
        for _ in pieces(line.requests, exchange.size):
            pass
        line.client.sendall(b"HTTP/1.1 %d No\r\nContent-Type: application/problem+json\r\n" % fault.status)
        line.client.sendall(b"Content-Length: %d\r\n\r\n" % len(fault.body))
        line.client.sendall(b"" if exchange.method == "HEAD" else fault.body)
        return True
    if isinstance(fault, Hold):
        fault.let_go.wait()
    line.registry.sendall(head)
    turned = _turner(fault if exchange.method == "PUT" else None)
    for piece in pieces(line.requests, exchange.size):
        between.slow_down(len(piece))
        # A registry that refuses may do so, and hang up, before it has read the whole body.
        with suppress(BrokenPipeError, ConnectionResetError):
            line.registry.sendall(turned(piece))
        exchange.sent += len(piece)
    return _carry_answer(between, line, exchange, fault)


def _carry_answer(between: Between, line: _Line, exchange: Exchange, fault: Fault | None) -> bool:
    head, first, headers = head_of(line.answers)
    if not head:
        return False
    status = int(first.split(" ")[1])
    size = 0 if status in _WITHOUT_BODY or exchange.method == "HEAD" else int(headers.get("content-length", 0))
    if isinstance(fault, LoseAnswer):
        for _ in pieces(line.answers, size):
            pass
        return False
    exchange.status = status
    line.client.sendall(head)
    if "transfer-encoding" in headers and exchange.method != "HEAD":
        # Lists and the like; no file's bytes come so.
        for piece in chunks(line.answers):
            line.client.sendall(piece)
        return True
    turned = _turner(fault if exchange.method == "GET" else None)
    for piece in pieces(line.answers, size):
        between.slow_down(len(piece) if exchange.is_of_bytes else 0)
        line.client.sendall(turned(piece))
        exchange.received += len(piece)
    return headers.get("connection", "").lower() != "close"


def _turner(fault: Fault | None) -> Callable[[bytes], bytes]:
    """What passes the pieces of one body on, with the one bit turned."""
    passed = 0

    def turned(piece: bytes) -> bytes:
        nonlocal passed
        start, passed = passed, passed + len(piece)
        if not (isinstance(fault, Flip) and start <= fault.at < passed):
            return piece
        changed = bytearray(piece)
        changed[fault.at - start] ^= 0x10
        return bytes(changed)

    return turned
