"""Servers stopped with SIGTERM while requests are open, and a second server on the same folder."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import httpx2
import pytest

from modelyard.server.http.server import STOP_SECONDS
from tests.journeys.command_line import CommandLine
from tests.journeys.tcp_proxy import TcpProxy
from tests.journeys.upload_sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.ports import free_port
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.server.harness import ApiCaller, hash_of
from tests.waiting import PATIENCE_SECONDS, wait_until

# What docs/operate.md promises. A process that has not ended shortly before exits with 1.
GRACE_SECONDS = 30
assert STOP_SECONDS < GRACE_SECONDS
CALLS_A_SECOND = 20
SIZE = 48 * MEBIBYTE


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    settings = {"part_size": str(PART_SIZE), "single_put_limit": str(SINGLE_PUT_LIMIT)}
    with RunningServer(tmp_path / "data", port=free_port(), **settings) as server:
        yield server


class ApiCallers:
    """Calls the API twenty times a second on new connections; ``outcomes`` has each status or error name."""

    def __init__(self, caller: ApiCaller) -> None:
        self.outcomes: list[int | str] = []
        self._url = str(caller.client.base_url.join("/api/v1/models"))
        self._headers = caller.headers | {"Connection": "close"}
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._call_until_over) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _call_until_over(self) -> None:
        with httpx2.Client(trust_env=False, headers=self._headers, timeout=60) as client:
            while not self._is_over.wait(len(self._threads) / CALLS_A_SECOND):
                try:
                    self.outcomes.append(client.get(self._url).status_code)
                except httpx2.TransportError as failure:
                    self.outcomes.append(type(failure).__name__)


def read_part_statuses(log: Path) -> list[int]:
    """Return the statuses of all part uploads in the log, across restarts; 0 for one without a response."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
    return [line["status"] for line in lines if line.get("method") == "PUT" and line["path"].startswith("/blobs/")]


def test_server_stopped_during_push_finishes_open_requests_within_grace_period(
    server: RunningServer, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    owner = server.owner()
    file = new_file(SIZE)
    callers = ApiCallers(owner)
    push = CommandLine(tmp_path / "home", server.url, owner).start("push", file, "--limit-rate", "10MB")
    wait_until(lambda: 200 in callers.outcomes and bool(read_part_statuses(server.log)))

    port = server.port
    assert server.stop() == 0
    restarted = RunningServer(
        server.data_dir, port=port, part_size=str(PART_SIZE), single_put_limit=str(SINGLE_PUT_LIMIT)
    )
    with restarted:
        pushed = push.wait_for_exit()
        answered_before = callers.outcomes.count(200)
        wait_until(lambda: callers.outcomes.count(200) > answered_before)
        callers.stop()

        assert pushed.code == 0, pushed
        # A connection that was closed without a response had not been accepted by the server.
        assert set(callers.outcomes) <= {200, 503, "ConnectError", "ReadError", "RemoteProtocolError"}
        # Open part uploads were finished, so no part was sent twice.
        assert read_part_statuses(server.log) == [200] * -(-SIZE // PART_SIZE)
        assert '"status": 5' not in server.log.read_text()
        [model] = restarted.owner().get("/models").json()["model_list"]
        assert (model["file_hash"], model["verification"]) == (hash_of(file.read_bytes()), "verified")


def test_server_stopped_during_long_poll_answers_304_and_exits_early(server: RunningServer) -> None:
    key = server.owner().post("/credentials", kind="agent", display_name="farm").json()["raw_key"]
    machine, anonymous = server.anonymous(), server.anonymous()
    machine.token = key
    machine.post("/agent/heartbeat", agent_id="render-07")
    etag = machine.get("/agent/manifest", agent_id="render-07").headers["ETag"]
    with ThreadPoolExecutor(1) as threads:
        query, headers = {"agent_id": "render-07", "wait": 60}, {"If-None-Match": etag}
        long_poll = threads.submit(machine.call, "GET", "/agent/manifest", params=query, headers=headers)
        wait_until(lambda: "modelyard_open_requests 2.0" in anonymous.client.get("/metrics").text)
        assert server.stop() == 0
        # A request that still waited after the grace period would have got a 503.
        assert long_poll.result().status_code == 304


class EndlessUploads:
    """Uploads that would take hours: each sends ten kilobytes a second until closed."""

    def __init__(self, server: RunningServer, count: int) -> None:
        owner = server.owner()
        self._is_over = threading.Event()
        self.sockets = [self._begin(server, owner, number) for number in range(count)]
        self._threads = [threading.Thread(target=self._send, args=(item,)) for item in self.sockets]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop sending and close all connections."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        for item in self.sockets:
            item.close()

    def _begin(self, server: RunningServer, owner: ApiCaller, number: int) -> socket.socket:
        """Open a connection and send the request head of an upload."""
        path = f"loras/endless-{number}.safetensors"
        ticket = owner.presign(b"", path, file_size=SINGLE_PUT_LIMIT).json()
        lines = [f"PUT {ticket['upload_url'].removeprefix(server.url)} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in ticket["upload_headers"].items()]
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection

    def _send(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while not self._is_over.wait(0.1):
                connection.sendall(b"x" * 1000)


def test_server_stopped_during_endless_uploads_exits_within_grace_period(server: RunningServer) -> None:
    client = server.client()
    with closing(EndlessUploads(server, 6)):
        # The six, and this one.
        wait_until(lambda: "modelyard_open_requests 7.0" in client.get("/metrics").text)
        assert server.stop() == 0
    log = server.log.read_text()
    # The cut uploads are 503 in the log, not unhandled errors.
    assert log.count('"status": 503') == 6
    assert "Exception in ASGI" not in log


def test_server_stopped_while_database_stalls_exits_within_grace_period(
    postgres_server: RunningPostgres, tmp_path: Path
) -> None:
    with postgres_server.database() as url, TcpProxy(postgres_server.port) as tcp_proxy:
        url = url.replace(f":{postgres_server.port}/", f":{tcp_proxy.port}/")
        with RunningServer(tmp_path / "data", database_url=url) as server, ThreadPoolExecutor(4) as threads:
            owner = server.owner()
            with tcp_proxy.stalled():
                stalled_calls = [threads.submit(owner.get, "/models") for _ in range(4)]
                wait_until(lambda: tcp_proxy.held_chunks > 0)
                assert server.stop() in (0, 1)
            assert all(item.exception() or item.result().status_code == 503 for item in stalled_calls)


@pytest.mark.core
def test_second_server_on_same_folder_exits_with_1_naming_the_first(registry: RunningServer) -> None:
    command = [sys.executable, "-m", "modelyard", "serve", "--data-dir", str(registry.data_dir), "--port", "0"]
    second = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env=dict(os.environ)
    )

    assert second.returncode == 1
    assert str(registry.data_dir) in second.stderr
    assert f"process {registry.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert registry.owner().get("/models").status_code == 200


def test_stopped_server_leaves_database_in_one_file(server: RunningServer) -> None:
    assert server.owner().register()
    assert server.stop() == 0
    assert [file.name for file in server.data_dir.glob("modelyard.sqlite3*")] == ["modelyard.sqlite3"]
