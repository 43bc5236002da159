"""The server asked to end while it is busy, and a second one on the same folder."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.journeys.waiting import wait_for
from tests.running import RunningServer
from tests.server.world import Someone, hash_of

GRACE_SECONDS = 30
CALLS_A_SECOND = 20
SIZE = 48 * MEBIBYTE


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "data", part_size=str(PART_SIZE), single_put_limit=str(SINGLE_PUT_LIMIT)) as server:
        yield server


class Crowd:
    """Calls of the API, twenty a second, each on a connection of its own; what became of each is in ``outcomes``."""

    def __init__(self, someone: Someone) -> None:
        self.outcomes: list[int | str] = []
        self._url = str(someone.client.base_url.join("/api/v1/models"))
        self._headers = someone.headers | {"Connection": "close"}
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._call_on) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _call_on(self) -> None:
        with httpx2.Client(trust_env=False, headers=self._headers, timeout=60) as client:
            while not self._is_over.wait(len(self._threads) / CALLS_A_SECOND):
                try:
                    self.outcomes.append(client.get(self._url).status_code)
                except httpx2.TransportError as failure:
                    self.outcomes.append(type(failure).__name__)


def statuses_of_parts(log: Path) -> list[int]:
    """How the requests that brought parts ended, by the log of all lives; 0 for one without an answer."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
    return [line["status"] for line in lines if line.get("method") == "PUT" and line["path"].startswith("/blobs/")]


def test_a_server_that_is_asked_to_end_finishes_what_it_has_begun(
    server: RunningServer, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    owner = server.owner()
    file = new_file(SIZE)
    crowd = Crowd(owner)
    push = Program(tmp_path / "home", server.url, owner).start("push", file, "--limit-rate", "10MB")
    wait_for(lambda: 200 in crowd.outcomes and bool(statuses_of_parts(server.log)))

    port = server.port
    asked = time.monotonic()
    assert server.stop() == 0
    took = time.monotonic() - asked
    again = RunningServer(server.data_dir, port=port, part_size=str(PART_SIZE), single_put_limit=str(SINGLE_PUT_LIMIT))
    with again:
        pushed = push.end()
        answered = crowd.outcomes.count(200)
        wait_for(lambda: crowd.outcomes.count(200) > answered)
        crowd.end()

        assert took < GRACE_SECONDS
        assert pushed.code == 0, pushed
        # A connection that ends without an answer was never taken up.
        assert set(crowd.outcomes) <= {200, 503, "ConnectError", "ReadError", "RemoteProtocolError"}
        assert crowd.outcomes.count(200) > len(crowd.outcomes) // 2
        # What was on its way was answered, so no part was sent twice.
        assert statuses_of_parts(server.log) == [200] * -(-SIZE // PART_SIZE)
        assert '"status": 5' not in server.log.read_text()
        [model] = again.owner().get("/models").json()["model_list"]
        assert (model["file_hash"], model["verification"]) == (hash_of(file.read_bytes()), "verified")


def test_machines_that_wait_for_news_do_not_hold_up_the_end(server: RunningServer) -> None:
    key = server.owner().post("/credentials", kind="agent", display_name="farm").json()["raw_key"]
    machine, anybody = server.nobody(), server.nobody()
    machine.token = key
    machine.post("/agent/heartbeat", agent_id="render-07")
    etag = machine.get("/agent/manifest", agent_id="render-07").headers["ETag"]
    with ThreadPoolExecutor(1) as threads:
        query, known = {"agent_id": "render-07", "wait": 60}, {"If-None-Match": etag}
        held = threads.submit(machine.call, "GET", "/agent/manifest", params=query, headers=known)
        while "modelyard_open_requests 2.0" not in anybody.client.get("/metrics").text:
            time.sleep(0.01)
        asked = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - asked < GRACE_SECONDS / 2
        assert held.result().status_code == 304


def test_a_second_server_on_the_same_folder_names_the_first_and_ends(registry: RunningServer) -> None:
    command = [sys.executable, "-m", "modelyard", "serve", "--data-dir", str(registry.data_dir), "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=dict(os.environ))

    assert second.returncode == 1
    assert str(registry.data_dir) in second.stderr
    assert f"process {registry.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert registry.owner().get("/models").status_code == 200


def test_a_server_that_ended_leaves_its_database_in_one_file(server: RunningServer) -> None:
    assert server.owner().register()
    assert server.stop() == 0
    assert [file.name for file in server.data_dir.glob("modelyard.sqlite3*")] == ["modelyard.sqlite3"]
