"""Download of one large model by a real agent, against aria2c commands that download and hash the same file."""

import os
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.agent_process import MeasuredMachine, RunningAgent
from bench.fleet_start import create_agent_key
from bench.processes import Measurement, read_into_page_cache, run_measured, sync_disks
from bench.table import Goal, Table, format_spread
from bench.transfers import MODELYARD
from tests.running import RunningServer
from tests.server.harness import ApiCaller
from tools.model_files import write_safetensors

NAME = "loras/large.safetensors"
SETTLE_SECONDS = 1.0
ARIA2C = "aria2c -q --no-conf --file-allocation=none"


@dataclass
class TransferBench:
    """What all methods share. Each method has a machine of its own, which is created anew for each run."""

    home: Path
    server: RunningServer
    owner: ApiCaller
    model_id: str
    source: Path
    keys: dict[str, str] = field(default_factory=dict)

    def create_machine(self, method: str) -> MeasuredMachine:
        """Create the method's machine anew, with the same key for each run."""
        if method not in self.keys:
            self.keys[method] = create_agent_key(self.owner)
        shutil.rmtree(self.home / method, ignore_errors=True)
        return MeasuredMachine(self.home / method, self.server.url, self.keys[method])

    def set_status(self, status: str) -> None:
        response = self.owner.put(f"/models/{self.model_id}", model_status=status)
        assert response.status_code == 200, response.text

    @property
    def download_url(self) -> str:
        return str(self.owner.get(f"/models/{self.model_id}/download", redirect="false").json()["download_url"])


def measure(home: Path, size: int, rounds: int) -> tuple[list[Table], list[Goal]]:
    """Run every method in each round, in rotating order; the first round is not counted."""
    methods: dict[str, Callable[[TransferBench], Measurement]] = {
        "agent: from the change to the file": _run_agent,
        "agent run --once, start to end": _run_agent_once,
        "aria2c -x4, sync, sha256sum": lambda bench: _run_fetch_command(bench, f"{ARIA2C} -x4 -s4", "; sync {file}"),
        "aria2c, sync, sha256sum": lambda bench: _run_fetch_command(bench, ARIA2C, "; sync {file}"),
        "aria2c, sha256sum, not synced": lambda bench: _run_fetch_command(bench, ARIA2C, ""),
    }
    measurements: dict[str, list[Measurement]] = {name: [] for name in methods}
    names = list(methods)
    with RunningServer(home / "download-data", log_level="warning") as server:
        bench = _create_bench(home, server, size)
        for number in range(rounds + 1):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                read_into_page_cache(bench.source)
                sync_disks()
                measurements[name].append(methods[name](bench))
    return _summarise({name: runs[1:] for name, runs in measurements.items()}, size)


def _create_bench(home: Path, server: RunningServer, size: int) -> TransferBench:
    """Push the model and find its stored file; return what all methods share."""
    owner = server.owner()
    file = home / "large.safetensors"
    write_safetensors(file, size)
    user_environment = {
        "MODELYARD_URL": server.url,
        "MODELYARD_TOKEN": owner.token or "",
        "MODELYARD_TEAM": owner.team_id or "",
    }
    run_measured([MODELYARD, "--quiet", "push", str(file), "--path", NAME], os.environ | user_environment)
    file.unlink()
    [model] = owner.get("/models").json()["model_list"]
    stored = [path for path in (home / "download-data").rglob("*") if path.is_file() and path.stat().st_size == size]
    return TransferBench(home, server, owner, model["id"], stored[0])


def _run_agent(bench: TransferBench) -> Measurement:
    """Measure a waiting agent from just before the model is enabled until its file has its final name."""
    bench.set_status("disabled")
    machine = bench.create_machine("daemon")
    file = machine.models / NAME
    with RunningAgent(machine) as agent:
        agent.wait_for_log("lists 0 models for this machine")
        time.sleep(SETTLE_SECONDS)
        began, cpu = time.perf_counter(), agent.cpu_seconds
        bench.set_status("active")
        agent.wait_until(file.exists, 0.002)
        return Measurement(time.perf_counter() - began, agent.cpu_seconds - cpu, agent.peak_bytes)


def _run_agent_once(bench: TransferBench) -> Measurement:
    """Measure ``agent run --once`` from its start to its exit."""
    machine = bench.create_machine("once")
    run = machine.sync_once()
    assert (machine.models / NAME).exists()
    return run


def _run_fetch_command(bench: TransferBench, fetch: str, after: str) -> Measurement:
    """Measure a download command followed by ``after`` and ``sha256sum``."""
    file = bench.home / "fetched"
    file.unlink(missing_ok=True)
    command = f"{fetch} -d {bench.home} -o fetched '{bench.download_url}'{after.format(file=file)}; sha256sum {file}"
    return run_measured(["sh", "-ec", command])


def _summarise(measurements: dict[str, list[Measurement]], size: int) -> tuple[list[Table], list[Goal]]:
    """Build the table and the goals from the measurements."""

    def seconds(name: str) -> float:
        return statistics.median(run.seconds for run in measurements[name])

    agent, once, *peers = measurements
    fastest = min(peers[:-1], key=seconds)
    rows = [
        [
            name,
            format_spread([run.seconds for run in runs]),
            f"{seconds(name) / seconds(agent):.2f}",
            f"{statistics.median(run.cpu_seconds for run in runs):.2f}",
            f"{max(run.peak_bytes for run in runs) / 2**20:.0f}",
        ]
        for name, runs in measurements.items()
    ]
    peak = max(run.peak_bytes for run in measurements[agent] + measurements[once]) / 2**20
    columns = ["", "seconds, median (range)", "the agent's = 1", "CPU s", "peak MiB"]
    return [Table(f"A model of {size / 2**30:g} GiB", columns, rows)], [
        Goal(f"the agent, wire to name / ({fastest})", seconds(fastest) / seconds(agent), 1.2),
        Goal(f"the agent's peak memory with a model of {size / 2**30:g} GiB, MiB", peak, 150, at_least=False),
    ]
