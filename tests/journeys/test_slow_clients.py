"""Two hundred clients that take their time, and one that works."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelyard.server.listener import HEAD_SECONDS
from tests.running import RunningServer
from tests.server.world import Someone

SLOW = 200
ALLOWED_GROWTH = 64 << 20
_BODY = json.dumps({"email_address": "a@b.test", "user_password": "x" * 500}).encode()
_LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HEADS = [b"", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "]
BODIES = [_LOGIN + b"Content-Length: %d\r\n\r\n" % len(_BODY) + _BODY[:5]]


class Dribblers:
    """Open connections that send one byte a second and never finish."""

    def __init__(self, port: int, beginnings: list[bytes], count: int) -> None:
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        for number, connection in enumerate(self.sockets):
            connection.sendall(beginnings[number % len(beginnings)])
            connection.setblocking(False)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._dribble)
        self._thread.start()

    def _dribble(self) -> None:
        while not self._ends.wait(1):
            for connection in self.sockets:
                try:
                    connection.send(b"x")
                except OSError:
                    continue

    def open_connections(self) -> int:
        return sum(_is_open(connection) for connection in self.sockets)

    def close(self) -> None:
        self._ends.set()
        self._thread.join()
        for connection in self.sockets:
            connection.close()


def _is_open(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


@contextmanager
def _dribbling(port: int, beginnings: list[bytes]) -> Iterator[Dribblers]:
    dribblers = Dribblers(port, beginnings, SLOW)
    try:
        yield dribblers
    finally:
        dribblers.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder: Path = tmp_path_factory.mktemp("slow")
    with RunningServer(folder / "data") as running:
        yield running


def _waits(owner: Someone, seconds: float) -> list[float]:
    """How long healthy calls took, sorted."""
    found, ends = [], time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.perf_counter()
        assert owner.get("/models").status_code == 200
        found.append(time.perf_counter() - began)
        time.sleep(0.01)
    return sorted(found)


def test_slow_heads_are_dropped_and_nobody_else_waits(server: RunningServer) -> None:
    owner = server.owner()
    owner.get("/models")
    before = server.resident_bytes()
    with _dribbling(server.port, HEADS) as dribblers:
        waits = _waits(owner, HEAD_SECONDS + 3)
        assert dribblers.open_connections() == 0
    assert waits[int(len(waits) * 0.99)] < 1
    assert server.resident_bytes() - before < ALLOWED_GROWTH


def test_slow_bodies_make_nobody_else_wait(server: RunningServer) -> None:
    owner = server.owner()
    owner.get("/models")
    before = server.resident_bytes()
    with _dribbling(server.port, BODIES):
        waits = _waits(owner, 4)
    assert waits[int(len(waits) * 0.99)] < 1
    assert server.resident_bytes() - before < ALLOWED_GROWTH


def test_an_endless_head_is_cut_short(server: RunningServer) -> None:
    before = server.resident_bytes()
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
        try:
            while sent < 256 << 20:
                sent += connection.send(b"x" * (1 << 20))
        except OSError:
            pass
    assert sent < 64 << 20
    assert server.resident_bytes() - before < ALLOWED_GROWTH
