"""What a request costs beside its statements: reads of the registry against a bare FastAPI + SQLAlchemy route.

Both servers are one process, read the same SQLite database, and get their requests over one connection, in turn.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from bench.processes import read_cpu_seconds, wait_until_up
from bench.table import Goal, Table, format_spread
from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from tests.ports import free_port
from tests.running import RunningServer
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.query_plans import record_queries

MODELS = 100
PER_PAGE = 50
ROUNDS = 9
REQUESTS = 300
# The share of the bare route's rate that is to be reached.
LEAST_RATES = {"record": 0.6, "list": 0.4}


def measure(home: Path) -> tuple[list[Table], list[Goal]]:
    """Measure both routes on both servers; the goals compare CPU time, since client and server share the cores."""
    plan, paths = _record_plan(home)
    with RunningServer(home / "registry", log_level="warning") as server, _run_bare(home, plan) as (bare, bare_pid):
        owner = server.owner()
        rows, goals = [], []
        # The bare route does not compress.
        headers = owner.headers | {"Accept-Encoding": "identity"}
        with httpx2.Client(trust_env=False, headers=headers) as client:
            for name, path in paths.items():
                urls = [(f"{server.url}/api/v1{path}", server.pid), (f"{bare}/{name}", bare_pid)]
                ours, theirs = _measure_in_turn(client, urls)
                ratios = [peer / own for own, peer in zip(ours, theirs, strict=True)]
                rows.append([name, format_spread(ours), format_spread(theirs), format_spread(ratios)])
                goals.append(Goal(f"{name}: rate / bare route's", statistics.median(ratios), LEAST_RATES[name]))
    columns = ["server CPU ms a request", "modelyard", "bare route, same statements", "rate / bare route's"]
    return [Table(f"Reads, {ROUNDS} rounds of {REQUESTS} requests", columns, rows)], goals


def _record_plan(home: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Fill a registry, and return the plan of the bare server and the paths of the routes of the registry."""
    settings = Settings(data_dir=home / "registry", public_url="http://registry.test", open_uploads=10_000)
    with open_resources(settings, Identity()) as resources, Harness.without_jobs(resources) as registry:
        owner = registry.owner
        ids = [owner.register(make_model_file(f"m{i}"), f"loras/m{i}.safetensors") for i in range(MODELS)]
        paths = {"record": f"/models/{ids[0]}", "list": f"/models?per_page={PER_PAGE}"}
        routes = {name: _record_route(registry, owner, path) for name, path in paths.items()}
    return {"database": str(home / "registry/modelyard.sqlite3"), "routes": routes}, paths


def _record_route(registry: Harness, owner: ApiCaller, path: str) -> dict[str, Any]:
    """Return the statements of a request with their values, and the body of its response."""
    # Not `owner.get`, whose parameters replace the query of the path.
    owner.call("GET", path)  # what is cached is cached
    engines = registry.resources.database
    with record_queries(engines.engine, of_all_threads=True) as queries:
        body = owner.call("GET", path).json()
    return {"statements": [[statement, list(values)] for statement, values in queries.sent], "body": body}


@contextmanager
def _run_bare(home: Path, plan: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Run the bare server while the block runs; yield its address and process id."""
    (home / "plan.json").write_text(json.dumps(plan))
    port = free_port()
    command = [sys.executable, "-m", "bench.bare_server", str(home / "plan.json"), str(port)]
    process = subprocess.Popen(command, env=dict(os.environ))
    try:
        wait_until_up(f"http://127.0.0.1:{port}/record", 60)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait()


def _measure_in_turn(client: httpx2.Client, urls: list[tuple[str, int]]) -> tuple[list[float], list[float]]:
    """Return the server's CPU milliseconds a request for both addresses, one value a round."""
    spent: dict[str, list[float]] = {url: [] for url, _ in urls}
    for number in range(ROUNDS + 1):
        for url, pid in urls if number % 2 else reversed(urls):
            before = read_cpu_seconds(pid)
            for _ in range(REQUESTS):
                assert client.get(url).status_code == 200
            spent[url].append((read_cpu_seconds(pid) - before) / REQUESTS * 1e3)
    (ours, _), (theirs, _) = urls
    return spent[ours][1:], spent[theirs][1:]
