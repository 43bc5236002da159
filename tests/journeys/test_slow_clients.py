"""Two hundred clients that send one byte a second, and one normal client that must be served."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.running import RunningServer
from tests.server.harness import ApiCaller
from tests.waiting import PATIENCE_SECONDS, wait_until

SLOW_CLIENTS = 200
ALLOWED_GROWTH = 64 << 20
_BODY = json.dumps({"email_address": "a@b.test", "user_password": "x" * 500}).encode()
_LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HEADS = [b"", b"GET /healthz HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "]
BODIES = [_LOGIN + b"Content-Length: %d\r\n\r\n" % len(_BODY) + _BODY[:5]]


class SlowConnections:
    """Open connections that send one byte a second and never finish."""

    def __init__(self, port: int, request_starts: list[bytes], count: int) -> None:
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
        for number, connection in enumerate(self.sockets):
            connection.sendall(request_starts[number % len(request_starts)])
            connection.setblocking(False)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._send_bytes)
        self._thread.start()

    def _send_bytes(self) -> None:
        """Send one byte a second on every connection until closed."""
        while not self._is_over.wait(1):
            for connection in self.sockets:
                try:
                    connection.send(b"x")
                except OSError:
                    continue

    def count_open(self) -> int:
        return sum(_is_open(connection) for connection in self.sockets)

    def close(self) -> None:
        """Stop sending and close all connections."""
        self._is_over.set()
        self._thread.join()
        for connection in self.sockets:
            connection.close()


def _is_open(connection: socket.socket) -> bool:
    """Read what has arrived; return whether the server has not closed the connection."""
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


@contextmanager
def _open_slow_connections(port: int, request_starts: list[bytes]) -> Iterator[SlowConnections]:
    """Open 200 slow connections and close them after the block."""
    connections = SlowConnections(port, request_starts, SLOW_CLIENTS)
    try:
        yield connections
    finally:
        connections.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder: Path = tmp_path_factory.mktemp("slow")
    server = RunningServer(folder / "data")
    server.starts_as_users_do = True  # the memory of a forked process is that of the fork server, too
    with server:
        yield server


def list_models_often(owner: ApiCaller) -> None:
    """List models a hundred times; each time the server must answer."""
    for _ in range(100):
        assert owner.get("/models").status_code == 200


def test_slow_request_heads_are_closed_and_other_clients_are_served(server: RunningServer) -> None:
    owner = server.owner()
    owner.get("/models")
    before = server.resident_bytes()
    with _open_slow_connections(server.port, HEADS) as connections:
        list_models_often(owner)
        wait_until(lambda: connections.count_open() == 0)
    assert server.resident_bytes() - before < ALLOWED_GROWTH


def test_slow_request_bodies_leave_other_clients_served(server: RunningServer) -> None:
    owner = server.owner()
    owner.get("/models")
    before = server.resident_bytes()
    with _open_slow_connections(server.port, BODIES):
        list_models_often(owner)
    assert server.resident_bytes() - before < ALLOWED_GROWTH


def test_endless_request_head_is_closed_before_64_mib(server: RunningServer) -> None:
    before = server.resident_bytes()
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
        try:
            while sent < 256 << 20:
                sent += connection.send(b"x" * (1 << 20))
        except OSError:
            pass
    assert sent < 64 << 20
    assert server.resident_bytes() - before < ALLOWED_GROWTH
