"""Request benchmarks: registrations against MLflow and plain SQLite, reads during four pushes, deep list pages."""

import concurrent.futures
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from bench import copied_models
from bench.processes import wait_until_up
from bench.table import Goal, Table
from tests.ports import free_port
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file
from tools.model_files import write_safetensors

WORKERS = 4
MLFLOW = Path(".venv-bench/bin/mlflow").absolute()


def measure(home: Path, registrations: int, models: int) -> tuple[list[Table], list[Goal]]:
    """Run the request benchmarks; return their tables and goals."""
    # All files are uploaded before the first registration, which are more uploads than a team may have open by default.
    with RunningServer(home / "requests", log_level="warning", open_uploads=str(10 * registrations)) as server:
        registrations_per_second = _measure_registrations(server, registrations)
        reading = _measure_reads(server, home)
    mlflow_per_second = _measure_mlflow(home, registrations // 4)
    commits_per_second = _measure_sqlite_commits(home, registrations)
    pages = _measure_pages(home, models)
    rates = Table(
        f"Registrations a second, {WORKERS} callers",
        ["", "per second"],
        [
            ["modelyard POST /models", f"{registrations_per_second:.0f}"],
            ["MLflow create model version", f"{mlflow_per_second:.0f}"],
            ["bare SQLite: one row a commit, WAL, FULL, one thread", f"{commits_per_second:.0f}"],
        ],
    )
    times = Table(
        "Milliseconds", ["", "median", "p99"], [_row(name, seconds) for name, seconds in (reading | pages).items()]
    )
    deep = statistics.median(pages["page 10,000 by cursor"]) / statistics.median(pages["page 1"])
    return [rates, times], [
        Goal("registrations / MLflow's", registrations_per_second / mlflow_per_second, 5),
        Goal("page 10,000 by cursor / page 1", deep, 1.5, at_least=False),
    ]


def _row(name: str, seconds: list[float]) -> list[str]:
    ordered = sorted(seconds)
    return [name, f"{statistics.median(ordered) * 1e3:.1f}", f"{ordered[int(len(ordered) * 0.99)] * 1e3:.1f}"]


def _measure_calls_per_second(work: Callable[[int], Any], count: int) -> float:
    """Make ``count`` calls on four threads; return how many were done per second."""
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, range(count)))
    return count / (time.perf_counter() - began)


def _measure_registrations(server: RunningServer, count: int) -> float:
    """Measure registrations per second of files uploaded before, as MLflow's versions have no files either."""
    owner = server.owner()
    bodies = [owner.new_model(make_model_file(f"m{i}"), f"loras/m{i}.safetensors") for i in range(count)]
    callers = threading.local()

    def register(number: int) -> None:
        if not hasattr(callers, "client"):
            callers.client = httpx2.Client(base_url=server.url, trust_env=False)
        response = callers.client.post("/api/v1/models", json=bodies[number], headers=owner.headers)
        assert response.status_code == 201, response.text

    return _measure_calls_per_second(register, count)


def _measure_mlflow(home: Path, count: int) -> float:
    """Measure MLflow's server on SQLite: versions per second of one registered model."""
    port = free_port()
    store = home / "mlflow"
    store.mkdir()
    command = [str(MLFLOW), "server", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri"]
    command += [f"sqlite:///{store}/mlflow.db", "--artifacts-destination", str(store / "artifacts")]
    log = (store / "log").open("wb")
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
    ) as process:
        try:
            base = f"http://127.0.0.1:{port}"
            wait_until_up(f"{base}/health", 120)
            return _measure_version_creation(f"{base}/api/2.0/mlflow", count)
        finally:
            os.killpg(process.pid, 15)


def _measure_version_creation(base: str, count: int) -> float:
    """Create model versions in MLflow after a warm-up; return how many per second."""
    callers = threading.local()

    def call(path: str, body: dict[str, str]) -> None:
        if not hasattr(callers, "client"):
            callers.client = httpx2.Client(trust_env=False, timeout=60)
        response = callers.client.post(f"{base}/{path}", json=body)
        assert response.status_code == 200, response.text

    call("registered-models/create", {"name": "m"})
    for number in range(8):
        call("model-versions/create", {"name": "m", "source": f"s3://models/warm/{number}"})
    return _measure_calls_per_second(
        lambda n: call("model-versions/create", {"name": "m", "source": f"s3://models/{n}"}), count
    )


def _measure_sqlite_commits(home: Path, count: int) -> float:
    """Commit one row at a time to SQLite (WAL, synchronous=FULL); return commits per second."""
    connection = sqlite3.connect(home / "bare.sqlite3", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE models (id INTEGER PRIMARY KEY, body TEXT)")
    body = json.dumps({"display_name": "m", "model_path": "loras/m.safetensors"})
    began = time.perf_counter()
    for _ in range(count):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO models (body) VALUES (?)", [body])
        connection.execute("COMMIT")
    return count / (time.perf_counter() - began)


def _time_calls(call: Callable[[], Any], count: int) -> list[float]:
    """Make ``count`` calls one after the other; return the seconds of each."""
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return seconds


def _measure_reads(server: RunningServer, home: Path) -> dict[str, list[float]]:
    """Time ``GET /models/{id}`` on an idle server, and during four pushes of 512 MiB each."""
    owner = server.owner()
    model = owner.get("/models", per_page=1).json()["model_list"][0]["id"]
    idle = _time_calls(lambda: owner.get(f"/models/{model}"), 1000)
    busy: list[float] = []
    pushes = _start_pushes(server, home, owner)
    while any(push.poll() is None for push in pushes):
        busy += _time_calls(lambda: owner.get(f"/models/{model}"), 10)
    assert all(push.returncode == 0 for push in pushes), "a push failed"
    return {"GET /models/{id}, idle": idle, "GET /models/{id}, four pushes": busy}


def _start_pushes(server: RunningServer, home: Path, owner: ApiCaller) -> list[subprocess.Popen[bytes]]:
    """Start four concurrent pushes of new files of 512 MiB."""
    environment = os.environ | {
        "MODELYARD_URL": server.url,
        "MODELYARD_TOKEN": owner.token or "",
        "MODELYARD_TEAM": owner.team_id or "",
    }
    program = str(Path(sys.executable).with_name("modelyard"))
    pushes = []
    for number in range(4):
        path = home / f"parallel-{number}.safetensors"
        write_safetensors(path, 512 * 2**20)
        pushes.append([program, "--quiet", "push", str(path), "--path", f"loras/parallel-{number}.safetensors"])
    devnull = subprocess.DEVNULL
    return [subprocess.Popen(push, stdin=devnull, stdout=devnull, env=environment) for push in pushes]


def _measure_pages(home: Path, models: int) -> dict[str, list[float]]:
    """Time the first and the 10,000th page of ten rows of a team with many models, by cursor."""
    with RunningServer(home / "crowd", log_level="warning") as server:
        owner = server.owner()
        owner.register()
        server.stop()
        copied_models.copy_model(home / "crowd", models)
        server.start()
        owner = server.owner()
        cursors = copied_models.collect_cursors(owner, 10_000, 10)
        return {
            "page 1": _time_calls(lambda: owner.get("/models", per_page=10, cursor=""), 300),
            "page 10,000 by cursor": _time_calls(lambda: owner.get("/models", per_page=10, cursor=cursors[-1]), 300),
        }
