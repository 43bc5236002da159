"""Requests: registrations against MLflow and bare SQLite, reading while four pushes run, deep pages."""

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

from bench import crowd
from bench.table import Goal, Table
from tests.running import RunningServer
from tests.server.world import Someone, a_model_file
from tools.model_files import write_safetensors

WORKERS = 4
MLFLOW = Path(".venv-bench/bin/mlflow").absolute()


def measure(home: Path, registrations: int, models: int) -> tuple[list[Table], list[Goal]]:
    # All uploads are there before the first registration: more than a team may usually have open.
    with RunningServer(home / "requests", log_level="warning", open_uploads=str(10 * registrations)) as server:
        ours = _registrations(server, registrations)
        reading = _reading(server, home)
    theirs = _mlflow(home, registrations // 4)
    bare = _bare_commits(home, registrations)
    pages = _pages(home, models)
    rates = Table(
        f"Registrations a second, {WORKERS} callers",
        ["", "per second"],
        [
            ["modelyard POST /models", f"{ours:.0f}"],
            ["MLflow create model version", f"{theirs:.0f}"],
            ["bare SQLite: one row a commit, WAL, FULL, one thread", f"{bare:.0f}"],
        ],
    )
    times = Table(
        "Milliseconds", ["", "median", "p99"], [_row(name, found) for name, found in (reading | pages).items()]
    )
    deep = statistics.median(pages["page 10,000 by cursor"]) / statistics.median(pages["page 1"])
    return [rates, times], [
        Goal("registrations / MLflow's", ours / theirs, 5),
        Goal("page 10,000 by cursor / page 1", deep, 1.5, at_least=False),
    ]


def _row(name: str, seconds: list[float]) -> list[str]:
    ordered = sorted(seconds)
    return [name, f"{statistics.median(ordered) * 1e3:.1f}", f"{ordered[int(len(ordered) * 0.99)] * 1e3:.1f}"]


def _a_second(work: Callable[[int], Any], count: int) -> float:
    """How many of ``count`` calls are done a second by ``WORKERS`` threads."""
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, range(count)))
    return count / (time.perf_counter() - began)


def _registrations(server: RunningServer, count: int) -> float:
    """The bytes are there before the clock starts: MLflow's versions have no bytes either."""
    owner = server.owner()
    bodies = [owner.new_model(a_model_file(f"m{i}"), f"loras/m{i}.safetensors") for i in range(count)]
    callers = threading.local()

    def register(number: int) -> None:
        if not hasattr(callers, "client"):
            callers.client = httpx2.Client(base_url=server.url, trust_env=False)
        answer = callers.client.post("/api/v1/models", json=bodies[number], headers=owner.headers)
        assert answer.status_code == 201, answer.text

    return _a_second(register, count)


def _mlflow(home: Path, count: int) -> float:
    """MLflow's own server on its own SQLite; one registered model, many versions."""
    port = crowd.a_free_port()
    store = home / "mlflow"
    store.mkdir()
    command = [str(MLFLOW), "server", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri"]
    command += [f"sqlite:///{store}/mlflow.db", "--artifacts-destination", str(store / "artifacts")]
    log = (store / "log").open("wb")
    kept = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=kept, start_new_session=True
    ) as process:
        try:
            base = f"http://127.0.0.1:{port}"
            crowd.wait_until_up(f"{base}/health", 120)
            return _versions(f"{base}/api/2.0/mlflow", count)
        finally:
            os.killpg(process.pid, 15)


def _versions(base: str, count: int) -> float:
    callers = threading.local()

    def call(path: str, body: dict[str, str]) -> None:
        if not hasattr(callers, "client"):
            callers.client = httpx2.Client(trust_env=False, timeout=60)
        answer = callers.client.post(f"{base}/{path}", json=body)
        assert answer.status_code == 200, answer.text

    call("registered-models/create", {"name": "m"})
    for number in range(8):
        call("model-versions/create", {"name": "m", "source": f"s3://models/warm/{number}"})
    return _a_second(lambda n: call("model-versions/create", {"name": "m", "source": f"s3://models/{n}"}), count)


def _bare_commits(home: Path, count: int) -> float:
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


def _timed(call: Callable[[], Any], count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return seconds


def _reading(server: RunningServer, home: Path) -> dict[str, list[float]]:
    """``GET /models/{id}`` idle, and while four pushes of 512 MiB each run."""
    owner = server.owner()
    model = owner.get("/models", per_page=1).json()["model_list"][0]["id"]
    idle = _timed(lambda: owner.get(f"/models/{model}"), 1000)
    busy: list[float] = []
    pushes = _start_pushes(server, home, owner)
    while any(push.poll() is None for push in pushes):
        busy += _timed(lambda: owner.get(f"/models/{model}"), 10)
    assert all(push.returncode == 0 for push in pushes), "a push failed"
    return {"GET /models/{id}, idle": idle, "GET /models/{id}, four pushes": busy}


def _start_pushes(server: RunningServer, home: Path, owner: Someone) -> list[subprocess.Popen[bytes]]:
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
    quiet = subprocess.DEVNULL
    return [subprocess.Popen(push, stdin=quiet, stdout=quiet, env=environment) for push in pushes]


def _pages(home: Path, models: int) -> dict[str, list[float]]:
    """A team with many models, listed by cursor: the first page of ten rows, and the 10,000th."""
    with RunningServer(home / "crowd", log_level="warning") as server:
        owner = server.owner()
        owner.register()
        server.stop()
        crowd.fill(home / "crowd", models)
        server.start()
        owner = server.owner()
        cursors = crowd.cursors(owner, 10_000, 10)
        return {
            "page 1": _timed(lambda: owner.get("/models", per_page=10, cursor=""), 300),
            "page 10,000 by cursor": _timed(lambda: owner.get("/models", per_page=10, cursor=cursors[-1]), 300),
        }
