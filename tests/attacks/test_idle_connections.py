"""Unauthenticated clients that hold many idle connections: others must still be served."""

import contextlib
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from modelyard.server.http.json_body import MAX_PUBLIC_BODY_BYTES
from tests.attacks.request_head import request_head
from tests.attacks.state_snapshot import list_store_files
from tests.running import RunningServer
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

# Fewer than there are idle connections. Of these files, 112 may be connections, of 1,024, 412.
FEW_FILES = 424
IDLE_CONNECTIONS = 500
LIVENESS_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
REQUEST_STARTS = {
    "nothing sent": b"",
    "half a head": LIVENESS_REQUEST[:-2],
    "kept alive": LIVENESS_REQUEST,
    "half a body": request_head("/api/v1/auth/login", MAX_PUBLIC_BODY_BYTES, {}) + b"{",
}
# The soft and the hard limit: one that the server may raise, and one that it may not. A server that would close none
# for a new client would reach the second one, which it logs, however long the client waits.
LIMITS = [
    pytest.param((FEW_FILES, 1024), id="soft limit"),
    pytest.param(
        (FEW_FILES, FEW_FILES), id="hard limit", marks=pytest.mark.extended(reason="the same with another limit")
    ),
]


@pytest.fixture(autouse=True)
def raised_file_limit() -> Iterator[None]:
    """Raise this process's limit on open files for the test, as it holds the client side of all connections."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] != resource.RLIM_INFINITY and limits[1] < 2 * IDLE_CONNECTIONS:
        pytest.skip(f"the hard limit of open files is {limits[1]}, and the test holds {2 * IDLE_CONNECTIONS}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * IDLE_CONNECTIONS, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@contextmanager
def idle_connections(port: int, request_start: bytes) -> Iterator[None]:
    """Hold ``IDLE_CONNECTIONS``, each with this start of a request sent, until the block ends."""
    with contextlib.ExitStack() as stack:
        for _ in range(IDLE_CONNECTIONS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS))
            with contextlib.suppress(ConnectionError):
                connection.sendall(request_start)
        yield


@contextmanager
def run_server_with_limits(folder: Path, limits: tuple[int, int]) -> Iterator[RunningServer]:
    """Run a server with this soft and hard limit on open files."""
    server = RunningServer(folder / "data")
    server.open_files = limits
    with server:
        yield server


@pytest.mark.parametrize("limits", LIMITS)
def test_new_client_is_answered_while_many_idle_connections_are_open(limits: tuple[int, int], tmp_path: Path) -> None:
    with run_server_with_limits(tmp_path, limits) as server:
        for kind, request_start in REQUEST_STARTS.items():
            with idle_connections(server.port, request_start):
                responses = [
                    httpx2.get(f"{server.url}/healthz", timeout=PATIENCE_SECONDS, trust_env=False) for _ in range(20)
                ]
            assert [response.status_code for response in responses] == [200] * 20, kind
        assert server.owner().get("/models").status_code == 200
        assert "Too many open files" not in server.log.read_text()


def test_start_with_few_open_files_logs_warning(tmp_path: Path) -> None:
    with run_server_with_limits(tmp_path, (1024, 1024)) as server:
        lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    [warning] = [line for line in lines if line["level"] == "warning"]
    assert (warning["descriptors"], warning["connections"]) == (1024, 412)
    assert "LimitNOFILE" in warning["message"]


def test_running_upload_completes_while_many_idle_connections_are_open(tmp_path: Path) -> None:
    content = b"x" * 1_000_000
    with run_server_with_limits(tmp_path, (FEW_FILES, FEW_FILES)) as server:
        ticket = server.owner().presign(content).json()
        path = ticket["upload_url"].removeprefix(server.url)
        lines = [f"PUT {path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in ticket["upload_headers"].items()]
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as upload:
            upload.sendall("\r\n".join([*lines, "", ""]).encode() + content[:1000])
            # Before the server has read its head, it is an idle connection as the others.
            wait_until(lambda: any(name.startswith("incoming/") for name in list_store_files(server.data_dir)))
            with idle_connections(server.port, b""):
                upload.sendall(content[1000:])
                assert upload.recv(65536).split()[1] == b"200"
