"""Many simulated machines on one server: how soon all of them have a change, and what they cost at rest."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from bench import catalogue
from bench.processes import cpu_seconds, peak_bytes
from bench.table import Goal, Table
from modelyard.server.database.session import Database
from tests.running import RunningServer
from tests.server.world import Someone, a_model_file

CHANGES = 10
CALLS = 250
PAUSE_SECONDS = 0.01
SETTLE_SECONDS = 5.0
PATIENCE_SECONDS = 180.0


@dataclass(frozen=True)
class Size:
    """How large the fleet is, and for how long it is watched while nothing happens."""

    machines: int = 200
    models: int = 1000
    rest_seconds: int = 60


@dataclass
class Found:
    """What was measured: CPU as a part of one core, waits in seconds, times in milliseconds."""

    times: dict[str, dict[str, list[float]]]
    changes: dict[str, list[list[float]]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    peak: int = 0
    refused: int = 0


class Herd:
    """The process of the simulated machines."""

    def __init__(self, url: str, names: Sequence[tuple[str, str]]) -> None:
        self._names = names
        command = [sys.executable, "-m", "bench.fleet_machines", url]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._came: dict[int, tuple[float, int]] = {}
        self.refused = 0  # heartbeats that had to be sent again
        self._ear = threading.Thread(target=self._hear, daemon=True)

    def __enter__(self) -> Self:
        self._ear.start()
        self.say(json.dumps(self._names))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def say(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()

    def came(self, models: int | None = None) -> list[float]:
        """When each machine got the manifest with so many models (None: any); waits until all have it."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = [when for when, count in list(self._came.values()) if models in (None, count)]
            if len(found) == len(self._names):
                return found
            assert self._process.poll() is None, "The machines have ended."
            assert time.monotonic() < ends, f"{len(found)} of {len(self._names)} machines got it."
            time.sleep(0.05)

    @property
    def models(self) -> int:
        """How many models the machines were told of last."""
        return max(count for _, count in self._came.values())

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, when, count = json.loads(line)
            if count is None:
                self.refused += 1
            else:
                self._came[number] = when, count


def measure(home: Path, name: str, size: Size, **settings: str) -> tuple[list[Table], list[Goal]]:
    """One server with a fleet, on one database."""
    home.mkdir()
    settings |= {"log_level": "warning", "open_uploads": "100000"}
    with RunningServer(home / "data", port=0, **settings) as server:
        owner = server.owner()
        database = Database(server.database_url)
        catalogue.fill(database, UUID(owner.team_id), size.models)
        database.close()
        names = [(f"bench-{number:03}", _new_key(owner, number)) for number in range(size.machines)]
        found = Found({"no machines": _calls(owner)})
        with Herd(server.url, names) as herd:
            herd.came()
            # All of them say what they hold, and find their rhythm.
            time.sleep(2 * SETTLE_SECONDS)
            found.changes = _changes(owner, herd)
            time.sleep(2 * SETTLE_SECONDS)
            found.cpu["idle"] = _cpu(server, size.rest_seconds)
            found.times[f"{size.machines} machines, idle"] = _calls(owner)
            herd.say("downloading")
            time.sleep(SETTLE_SECONDS)
            found.cpu["busy"] = _cpu(server, size.rest_seconds / 4)
            found.times[f"{size.machines} machines, a heartbeat every 2 s each"] = _calls(owner)
            found.refused = herd.refused
        found.peak = peak_bytes(server.pid)
    return _told(name, size, found)


def _new_key(owner: Someone, number: int) -> str:
    made = owner.post("/credentials", kind="agent", display_name=f"bench {number}")
    assert made.status_code == 201, made.text
    return str(made.json()["raw_key"])


def _changes(owner: Someone, herd: Herd) -> dict[str, list[list[float]]]:
    """A model comes and goes, again and again: how long each machine waited, by kind and change, sorted."""
    waits: dict[str, list[list[float]]] = {"registered": [], "disabled": []}
    for number in range(CHANGES):
        known, path = herd.models, f"loras/bench/{number}.safetensors"
        body = owner.new_model(a_model_file(path), path)
        began = time.monotonic()
        model_id = owner.post("/models", **body).json()["id"]
        waits["registered"].append(sorted(when - began for when in herd.came(known + 1)))
        time.sleep(3)
        began = time.monotonic()
        owner.put(f"/models/{model_id}", model_status="disabled")
        waits["disabled"].append(sorted(when - began for when in herd.came(known)))
        time.sleep(3)
    return waits


def _cpu(server: RunningServer, seconds: float) -> float:
    """The part of one core that the server takes."""
    before, began = cpu_seconds(server.pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(server.pid) - before) / (time.monotonic() - began)


def _calls(owner: Someone) -> dict[str, list[float]]:
    """Sorted milliseconds of what people and programs ask, in turns and with small pauses."""
    model = owner.get("/models", per_page=1).json()["model_list"][0]["id"]
    asks: dict[str, Callable[[int], Any]] = {
        "GET /models": lambda _: owner.get("/models", per_page=20),
        "GET /models/{id}": lambda _: owner.get(f"/models/{model}"),
        "POST /models/presign": lambda number: owner.presign(b"0" * 64, f"loras/presigned/{number}.safetensors"),
        "GET /agents": lambda _: owner.get("/agents", per_page=100),
    }
    found: dict[str, list[float]] = {name: [] for name in asks}
    for number in range(CALLS):
        for name, ask in asks.items():
            began = time.perf_counter()
            ask(number)
            found[name].append((time.perf_counter() - began) * 1e3)
            time.sleep(PAUSE_SECONDS)
    return {name: sorted(values) for name, values in found.items()}


def _told(name: str, size: Size, found: Found) -> tuple[list[Table], list[Goal]]:
    last = {kind: [waits[-1] for waits in all_waits] for kind, all_waits in found.changes.items()}
    idle = found.cpu["idle"] * 100
    rows = [
        *([f"the last machine has a model that was {kind}, s", *_cells(waits, 2)] for kind, waits in last.items()),
        ["server's CPU while nothing happens, % of one core", f"{idle:.1f}", ""],
        ["the same with a heartbeat every 2 s from each", f"{found.cpu['busy'] * 100:.1f}", ""],
        ["heartbeats that had to be sent again", f"{found.refused}", ""],
        ["server's peak memory, MiB", f"{found.peak / 2**20:.0f}", ""],
    ]
    calls = [[f"{ask}, {when}", *_cells(took, 1)] for when, asked in found.times.items() for ask, took in asked.items()]
    title = f"{size.machines} machines, {size.models} models, {name}"
    tables = [
        Table(title, ["", "median", "worst"], rows),
        Table(f"Milliseconds beside them, {name}", ["", "median", "p99"], calls),
    ]
    worst = max(max(waits) for waits in last.values())
    return tables, [
        Goal(f"{name}: seconds until the last of {size.machines} machines has a change", worst, 2, at_least=False),
        Goal(f"{name}: server's CPU with an idle fleet, % of one core", idle, 5, at_least=False),
    ]


def _cells(values: Sequence[float], digits: int) -> list[str]:
    ordered = sorted(values)
    return [f"{ordered[int(len(ordered) * part)]:.{digits}f}" for part in (0.5, 0.99)]
