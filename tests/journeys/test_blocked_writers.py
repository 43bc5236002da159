"""Writers that wait for a locked SQLite database do not delay readers."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from modelyard.server.http.operation_limiter import QUEUE_SECONDS
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file

WRITERS = 60
READING_SECONDS = 6.0
# Readers that queue behind writers would wait about ten seconds; a busy machine needs far less than this.
MAX_READ_SECONDS = 3.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "data") as server:
        yield server


def measure_slowest_read(owner: ApiCaller) -> float:
    """List models for six seconds; return the seconds of the slowest call."""
    slowest, ends = 0.0, time.monotonic() + READING_SECONDS
    while time.monotonic() < ends:
        began = time.perf_counter()
        assert owner.get("/models").status_code == 200
        slowest = max(slowest, time.perf_counter() - began)
    return slowest


def presign(server: RunningServer, owner: ApiCaller) -> httpx2.Response:
    """Request an upload ticket, which writes a row, on a new connection."""
    content = make_model_file()
    body = {"file_name": "a.safetensors", "file_size": len(content), "model_type": "loras"}
    body["model_path"] = "loras/a.safetensors"
    with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        return client.post("/api/v1/models/presign", json=body, headers=owner.headers)


@pytest.mark.flaky(
    reason="measures how long reads take while writers wait; count the reads that succeed under the lock"
)
def test_list_models_while_writers_wait_for_database_lock_stays_fast(server: RunningServer) -> None:
    owner = server.owner()
    with (
        closing(sqlite3.connect(server.data_dir / "modelyard.sqlite3", isolation_level=None)) as other_connection,
        ThreadPoolExecutor(WRITERS) as threads,
    ):
        other_connection.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        writes = [threads.submit(presign, server, owner) for _ in range(WRITERS)]
        time.sleep(0.5)
        assert measure_slowest_read(owner) < MAX_READ_SECONDS
        refused = [write_call.result() for write_call in writes]
        elapsed = time.monotonic() - began
        other_connection.execute("ROLLBACK")

    assert {(response.status_code, "Retry-After" in response.headers) for response in refused} == {(503, True)}
    # Once in the queue, once at the lock, plus ten seconds for a busy machine.
    assert elapsed < 2 * QUEUE_SECONDS + 10
    assert presign(server, owner).status_code == 200
