"""Writers that wait for a locked SQLite database do not delay readers."""

import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file
from tests.waiting import PATIENCE_SECONDS, wait_until

WRITERS = 60


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "data") as server:
        yield server


def read_open_requests(owner: ApiCaller) -> float:
    """Return how many requests the server works on, this one included."""
    [number] = re.findall(r"^modelyard_open_requests (\S+)$", owner.client.get("/metrics").text, re.MULTILINE)
    return float(number)


def presign(server: RunningServer, owner: ApiCaller) -> httpx2.Response:
    """Request an upload ticket, which writes a row, on a new connection."""
    content = make_model_file()
    body = {"file_name": "a.safetensors", "file_size": len(content), "model_type": "loras"}
    body["model_path"] = "loras/a.safetensors"
    with httpx2.Client(base_url=server.url, timeout=PATIENCE_SECONDS, trust_env=False) as client:
        return client.post("/api/v1/models/presign", json=body, headers=owner.headers)


def test_list_models_while_writers_wait_for_database_lock_does_not_wait_for_them(server: RunningServer) -> None:
    owner = server.owner()
    with (
        closing(sqlite3.connect(server.data_dir / "modelyard.sqlite3", isolation_level=None)) as other_connection,
        ThreadPoolExecutor(WRITERS) as threads,
    ):
        other_connection.execute("BEGIN IMMEDIATE")
        writes = [threads.submit(presign, server, owner) for _ in range(WRITERS)]
        wait_until(lambda: read_open_requests(owner) > WRITERS / 2)
        reads = 0
        while not any(write_call.done() for write_call in writes):
            assert owner.get("/models").status_code == 200
            reads += 1
        # Each but the last one has ended before the first writer gave up: the lock is held until all have.
        assert reads > 1
        refused = [write_call.result() for write_call in writes]
        other_connection.execute("ROLLBACK")

    assert {(response.status_code, "Retry-After" in response.headers) for response in refused} == {(503, True)}
    assert presign(server, owner).status_code == 200
