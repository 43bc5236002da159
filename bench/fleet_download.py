"""One large model on its way to a real agent, against what people type to fetch a file and check it."""

import os
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.fleet_agent import Box, Daemon
from bench.fleet_start import new_key
from bench.processes import Run, measured, settle, warm
from bench.table import Goal, Table, spread
from bench.transfers import MODELYARD
from tests.running import RunningServer
from tests.server.world import Someone
from tools.model_files import write_safetensors

NAME = "loras/large.safetensors"
SETTLE_SECONDS = 1.0
ARIA2C = "aria2c -q --no-conf --file-allocation=none"


@dataclass
class Ground:
    """Everything that the ways share; each has a machine of its own, which is made anew for each run."""

    home: Path
    server: RunningServer
    owner: Someone
    model_id: str
    source: Path
    keys: dict[str, str] = field(default_factory=dict)

    def box(self, way: str) -> Box:
        if way not in self.keys:
            self.keys[way] = new_key(self.owner)
        shutil.rmtree(self.home / way, ignore_errors=True)
        return Box(self.home / way, self.server.url, self.keys[way])

    def turn(self, status: str) -> None:
        answer = self.owner.put(f"/models/{self.model_id}", model_status=status)
        assert answer.status_code == 200, answer.text

    @property
    def url(self) -> str:
        return str(self.owner.get(f"/models/{self.model_id}/download", redirect="false").json()["download_url"])


def measure(home: Path, size: int, rounds: int) -> tuple[list[Table], list[Goal]]:
    """Every way in turn, in an order that rotates; the first round is left out."""
    ways: dict[str, Callable[[Ground], Run]] = {
        "agent: from the change to the file": _daemon,
        "agent run --once, start to end": _once,
        "aria2c -x4, sync, sha256sum": lambda ground: _fetched(ground, f"{ARIA2C} -x4 -s4", "; sync {file}"),
        "aria2c, sync, sha256sum": lambda ground: _fetched(ground, ARIA2C, "; sync {file}"),
        "aria2c, sha256sum, not synced": lambda ground: _fetched(ground, ARIA2C, ""),
    }
    found: dict[str, list[Run]] = {name: [] for name in ways}
    names = list(ways)
    with RunningServer(home / "download-data", log_level="warning") as server:
        ground = _ground(home, server, size)
        for number in range(rounds + 1):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                warm(ground.source)
                settle()
                found[name].append(ways[name](ground))
    return _told({name: runs[1:] for name, runs in found.items()}, size)


def _ground(home: Path, server: RunningServer, size: int) -> Ground:
    owner = server.owner()
    file = home / "large.safetensors"
    write_safetensors(file, size)
    person = {"MODELYARD_URL": server.url, "MODELYARD_TOKEN": owner.token or "", "MODELYARD_TEAM": owner.team_id or ""}
    measured([MODELYARD, "--quiet", "push", str(file), "--path", NAME], os.environ | person)
    file.unlink()
    [model] = owner.get("/models").json()["model_list"]
    stored = [path for path in (home / "download-data").rglob("*") if path.is_file() and path.stat().st_size == size]
    return Ground(home, server, owner, model["id"], stored[0])


def _daemon(ground: Ground) -> Run:
    """The agent waits; the clock runs from before the model is made active until its file has its name."""
    ground.turn("disabled")
    box = ground.box("daemon")
    file = box.models / NAME
    with Daemon(box) as daemon:
        daemon.said("wants 0 models here")
        time.sleep(SETTLE_SECONDS)
        began, cpu = time.perf_counter(), daemon.cpu_seconds
        ground.turn("active")
        daemon.until(file.exists, 0.002)
        return Run(time.perf_counter() - began, daemon.cpu_seconds - cpu, daemon.peak_bytes)


def _once(ground: Ground) -> Run:
    box = ground.box("once")
    run = box.once()
    assert (box.models / NAME).exists()
    return run


def _fetched(ground: Ground, fetch: str, then: str) -> Run:
    file = ground.home / "fetched"
    file.unlink(missing_ok=True)
    words = f"{fetch} -d {ground.home} -o fetched '{ground.url}'{then.format(file=file)}; sha256sum {file}"
    return measured(["sh", "-ec", words])


def _told(found: dict[str, list[Run]], size: int) -> tuple[list[Table], list[Goal]]:
    def seconds(name: str) -> float:
        return statistics.median(run.seconds for run in found[name])

    daemon, once, *peers = found
    quickest = min(peers[:-1], key=seconds)
    rows = [
        [
            name,
            spread([run.seconds for run in runs]),
            f"{seconds(name) / seconds(daemon):.2f}",
            f"{statistics.median(run.cpu_seconds for run in runs):.2f}",
            f"{max(run.peak_bytes for run in runs) / 2**20:.0f}",
        ]
        for name, runs in found.items()
    ]
    peak = max(run.peak_bytes for run in found[daemon] + found[once]) / 2**20
    columns = ["", "seconds, median (range)", "the agent's = 1", "CPU s", "peak MiB"]
    return [Table(f"A model of {size / 2**30:g} GiB", columns, rows)], [
        Goal(f"the agent, wire to name / ({quickest})", seconds(quickest) / seconds(daemon), 1.2),
        Goal(f"the agent's peak memory with a model of {size / 2**30:g} GiB, MiB", peak, 150, at_least=False),
    ]
