"""How long an agent takes to start where thousands of files lie that it knows."""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from bench import catalogue
from bench.fleet_agent import Box, Daemon
from bench.processes import Run
from bench.table import Goal, Table, spread
from modelyard.client.sync.holding.journal import Journal
from modelyard.client.sync.holding.state import StateFile
from modelyard.server.database.session import Database
from tests.running import RunningServer
from tests.server.world import Someone

# The least that any start has to do, by a Python that has nothing else to load.
WALK = """
import os, sys
folders = [sys.argv[1]]
while folders:
    with os.scandir(folders.pop()) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
"""


def measure(home: Path, files: int, rounds: int) -> tuple[list[Table], list[Goal]]:
    """Starts of an agent that placed all these files before."""
    with RunningServer(home / "start-data", log_level="warning") as server:
        owner = server.owner()
        box = Box(home / "start", server.url, new_key(owner))
        _fill(server, owner, box, files)
        first = box.once()
        _as_if_placed(box)
        starts = [_started(box, files) for _ in range(rounds + 1)][1:]
        once = [box.once() for _ in range(rounds)]
        walks = [_walked(box) for _ in range(rounds)]
    peak = max(run.peak_bytes for run in [first, *starts, *once]) / 2**20
    seconds = statistics.median(run.seconds for run in starts)
    rows = [
        [f"start to its plan, all {files} ready", *_cells(starts)],
        ["agent run --once, every state told and ended", *_cells(once)],
        ["the first time: each file read, all told", *_cells([first])],
        ["a bare Python that reads names and sizes", spread(walks), "", ""],
    ]
    columns = ["", "seconds, median (range)", "CPU s", "peak MiB"]
    return [Table(f"A start with {files} unchanged files", columns, rows)], [
        Goal(f"seconds of a start with {files} unchanged files", seconds, 2, at_least=False),
        Goal(f"the agent's peak memory with {files} files, MiB", peak, 150, at_least=False),
    ]


def new_key(owner: Someone) -> str:
    """A key for one machine."""
    made = owner.post("/credentials", kind="agent", display_name="bench")
    assert made.status_code == 201, made.text
    return str(made.json()["raw_key"])


def _fill(server: RunningServer, owner: Someone, box: Box, files: int) -> None:
    """Models in the registry, and on the machine a file for each, written long ago."""
    team_id = UUID(owner.team_id)
    database = Database(server.database_url)
    catalogue.fill(database, team_id, files, are_wanted=True)
    database.close()
    for number, model in enumerate(catalogue.models(team_id, team_id, files)):
        path = box.models / model["model_path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(catalogue.content_of(number))
        os.utime(path, (1e9, 1e9))


def _as_if_placed(box: Box) -> None:
    """The agent found these files; those that it placed itself take it longer, so it shall believe that it did."""
    [file] = box.state.rglob(f"{box.agent_id}.sqlite")
    with StateFile(file) as state:
        journal = Journal(state)
        journal.confirm_all(replace(entry, origin="placed") for entry in journal.entries())


def _started(box: Box, files: int) -> Run:
    with Daemon(box) as daemon:
        seconds = daemon.said(f"{files} models: {files} ready.")
        return Run(seconds, daemon.cpu_seconds, daemon.peak_bytes)


def _walked(box: Box) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-c", WALK, str(box.models)], check=True)
    return time.perf_counter() - began


def _cells(runs: list[Run]) -> list[str]:
    cpu = statistics.median(run.cpu_seconds for run in runs)
    return [
        spread([run.seconds for run in runs]),
        f"{cpu:.2f}",
        f"{max(run.peak_bytes for run in runs) / 2**20:.0f}",
    ]
