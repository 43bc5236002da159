"""Many simulated machines on one server: how long a change takes to reach all, and what an idle fleet costs."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from bench import generated_models
from bench.processes import read_cpu_seconds, read_peak_bytes
from bench.table import Goal, Table
from modelyard.server.database.session import Database
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file

CHANGES = 10
CALLS = 250
PAUSE_SECONDS = 0.01
SETTLE_SECONDS = 5.0
MAX_WAIT_SECONDS = 180.0
MAX_IDLE_PERCENT = 3  # of one core


@dataclass(frozen=True)
class FleetSize:
    """The size of the fleet, and for how long its idle cost is measured."""

    machines: int = 200
    models: int = 1000
    idle_seconds: int = 60


@dataclass
class Results:
    """The measurements: CPU as a share of one core, delays in seconds, response times in milliseconds."""

    times: dict[str, dict[str, list[float]]]
    changes: dict[str, list[list[float]]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    peak: int = 0
    refused_heartbeats: int = 0


class SimulatedFleet:
    """The process ``bench.simulated_machines``, and the reports that its machines print."""

    def __init__(self, url: str, names: Sequence[tuple[str, str]]) -> None:
        self._names = names
        command = [sys.executable, "-m", "bench.simulated_machines", url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._manifests: dict[int, tuple[float, int]] = {}
        self.refused_heartbeats = 0  # heartbeats that had to be sent again
        self._reader = threading.Thread(target=self._read_reports, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        self.send_order(json.dumps(self._names))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def send_order(self, order: str) -> None:
        """Write one line to the process: at first the machines' names and keys, then a phase for all of them."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def wait_for_manifests(self, models: int | None = None) -> list[float]:
        """Wait until every machine has a manifest with this many models (None: any); return when each got it."""
        ends = time.monotonic() + MAX_WAIT_SECONDS
        while True:
            results = [when for when, count in list(self._manifests.values()) if models in (None, count)]
            if len(results) == len(self._names):
                return results
            assert self._process.poll() is None, "The machines have ended."
            assert time.monotonic() < ends, f"{len(results)} of {len(self._names)} machines got it."
            time.sleep(0.05)

    @property
    def models(self) -> int:
        """The number of models in the newest manifest."""
        return max(count for _, count in self._manifests.values())

    def _read_reports(self) -> None:
        """Read the machines' reports: record manifests, and count refused heartbeats."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, when, count = json.loads(line)
            if count is None:
                self.refused_heartbeats += 1
            else:
                self._manifests[number] = when, count


def measure(home: Path, name: str, size: FleetSize, **settings: str) -> tuple[list[Table], list[Goal]]:
    """Measure one server with a fleet, on one database."""
    with _fill_server(home, size, settings) as server:
        owner = server.owner()
        results = Results({"no machines": _measure_calls(owner)})
        with _run_fleet(server, size) as fleet:
            results.changes = _measure_changes(owner, fleet)
            time.sleep(2 * SETTLE_SECONDS)
            results.cpu["idle"] = _measure_cpu(server, size.idle_seconds)
            results.times[f"{size.machines} machines, idle"] = _measure_calls(owner)
            fleet.send_order("downloading")
            time.sleep(SETTLE_SECONDS)
            results.cpu["busy"] = _measure_cpu(server, size.idle_seconds / 4)
            results.times[f"{size.machines} machines, a heartbeat every 2 s each"] = _measure_calls(owner)
            results.refused_heartbeats = fleet.refused_heartbeats
        results.peak = read_peak_bytes(server.pid)
    return _summarise(name, size, results)


def measure_idle(home: Path, name: str, size: FleetSize, **settings: str) -> tuple[list[Table], list[Goal]]:
    """Measure the CPU and memory of one server with an idle fleet, on one database."""
    with _fill_server(home, size, settings) as server:
        with _run_fleet(server, size):
            percent = _measure_cpu(server, size.idle_seconds) * 100
        peak = read_peak_bytes(server.pid) / 2**20
    rows = [["server's CPU, % of one core", f"{percent:.1f}"], ["server's peak memory, MiB", f"{peak:.0f}"]]
    table = Table(f"{size.machines} idle machines, {size.models} models, {name}", ["", "measured"], rows)
    return [table], [_build_idle_goal(name, percent)]


@contextmanager
def _fill_server(home: Path, size: FleetSize, settings: dict[str, str]) -> Iterator[RunningServer]:
    """Run a server with a team of so many models."""
    home.mkdir()
    settings = settings | {"log_level": "warning", "open_uploads": "100000"}
    with RunningServer(home / "data", port=0, **settings) as server:
        database = Database(server.database_url)
        generated_models.insert_models(database, UUID(server.owner().team_id), size.models)
        database.close()
        yield server


@contextmanager
def _run_fleet(server: RunningServer, size: FleetSize) -> Iterator[SimulatedFleet]:
    """Run the machines, from when all have a manifest, have reported their inventory and spread their heartbeats."""
    owner = server.owner()
    names = [(f"bench-{number:03}", create_key(owner, number)) for number in range(size.machines)]
    with SimulatedFleet(server.url, names) as fleet:
        fleet.wait_for_manifests()
        time.sleep(2 * SETTLE_SECONDS)
        yield fleet


def create_key(owner: ApiCaller, number: int) -> str:
    """Create the key of a machine, and return it."""
    created = owner.post("/credentials", kind="agent", display_name=f"bench {number}")
    assert created.status_code == 201, created.text
    return str(created.json()["raw_key"])


def _measure_changes(owner: ApiCaller, fleet: SimulatedFleet) -> dict[str, list[list[float]]]:
    """Register and disable ten models; return each machine's delay, by kind of change, sorted for each change."""
    waits: dict[str, list[list[float]]] = {"registered": [], "disabled": []}
    for number in range(CHANGES):
        models_before, path = fleet.models, f"loras/bench/{number}.safetensors"
        body = owner.new_model(make_model_file(path), path)
        began = time.monotonic()
        model_id = owner.post("/models", **body).json()["id"]
        waits["registered"].append(sorted(when - began for when in fleet.wait_for_manifests(models_before + 1)))
        time.sleep(3)
        began = time.monotonic()
        owner.put(f"/models/{model_id}", model_status="disabled")
        waits["disabled"].append(sorted(when - began for when in fleet.wait_for_manifests(models_before)))
        time.sleep(3)
    return waits


def _measure_cpu(server: RunningServer, seconds: float) -> float:
    """Measure the server's CPU use for ``seconds``, as a share of one core."""
    before, began = read_cpu_seconds(server.pid), time.monotonic()
    time.sleep(seconds)
    return (read_cpu_seconds(server.pid) - before) / (time.monotonic() - began)


def _measure_calls(owner: ApiCaller) -> dict[str, list[float]]:
    """Call four routes alternately with small pauses; return the sorted milliseconds of each."""
    model = owner.get("/models", per_page=1).json()["model_list"][0]["id"]
    calls: dict[str, Callable[[int], Any]] = {
        "GET /models": lambda _: owner.get("/models", per_page=20),
        "GET /models/{id}": lambda _: owner.get(f"/models/{model}"),
        "POST /models/presign": lambda number: owner.presign(b"0" * 64, f"loras/presigned/{number}.safetensors"),
        "GET /agents": lambda _: owner.get("/agents", per_page=100),
    }
    results: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(CALLS):
        for name, call in calls.items():
            began = time.perf_counter()
            call(number)
            results[name].append((time.perf_counter() - began) * 1e3)
            time.sleep(PAUSE_SECONDS)
    return {name: sorted(values) for name, values in results.items()}


def _summarise(name: str, size: FleetSize, results: Results) -> tuple[list[Table], list[Goal]]:
    """Build the tables and the goals from the results."""
    last = {kind: [waits[-1] for waits in all_waits] for kind, all_waits in results.changes.items()}
    idle = results.cpu["idle"] * 100
    rows = [
        *([f"the last machine has a model that was {kind}, s", *_cells(waits, 2)] for kind, waits in last.items()),
        ["server's CPU while nothing happens, % of one core", f"{idle:.1f}", ""],
        ["the same with a heartbeat every 2 s from each", f"{results.cpu['busy'] * 100:.1f}", ""],
        ["heartbeats that had to be sent again", f"{results.refused_heartbeats}", ""],
        ["server's peak memory, MiB", f"{results.peak / 2**20:.0f}", ""],
    ]
    calls = [
        [f"{call}, {when}", *_cells(milliseconds, 1)]
        for when, asked in results.times.items()
        for call, milliseconds in asked.items()
    ]
    title = f"{size.machines} machines, {size.models} models, {name}"
    tables = [
        Table(title, ["", "median", "worst"], rows),
        Table(f"Milliseconds beside them, {name}", ["", "median", "p99"], calls),
    ]
    worst = max(max(waits) for waits in last.values())
    return tables, [
        Goal(f"{name}: seconds until the last of {size.machines} machines has a change", worst, 2, at_least=False),
        _build_idle_goal(name, idle),
    ]


def _build_idle_goal(name: str, percent: float) -> Goal:
    return Goal(f"{name}: server's CPU with an idle fleet, % of one core", percent, MAX_IDLE_PERCENT, at_least=False)


def _cells(values: Sequence[float], digits: int) -> list[str]:
    ordered = sorted(values)
    return [f"{ordered[int(len(ordered) * part)]:.{digits}f}" for part in (0.5, 0.99)]
