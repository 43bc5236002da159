"""Start of an agent on a machine with thousands of unchanged, known files."""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from bench import generated_models
from bench.agent_process import MeasuredMachine, RunningAgent
from bench.processes import Measurement
from bench.table import Goal, Table, format_spread
from modelyard.server.database.session import Database
from modelyard.sync.inventory.placement_journal import PlacementJournal
from modelyard.sync.inventory.state_db import StateFile
from tests.running import RunningServer
from tests.server.harness import ApiCaller

# The minimum of any start: read names and sizes, in a Python without other modules.
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
    """Measure starts of an agent that placed all these files before."""
    with RunningServer(home / "start-data", log_level="warning") as server:
        owner = server.owner()
        machine = MeasuredMachine(home / "start", server.url, create_agent_key(owner))
        _create_models_and_files(server, owner, machine, files)
        first = machine.sync_once()
        _mark_files_as_placed(machine)
        starts = [_measure_start(machine, files) for _ in range(rounds + 1)][1:]
        single_syncs = [machine.sync_once() for _ in range(rounds)]
        walk_seconds = [_measure_walk(machine) for _ in range(rounds)]
    peak = max(run.peak_bytes for run in [first, *starts, *single_syncs]) / 2**20
    seconds = statistics.median(run.seconds for run in starts)
    rows = [
        [f"start to its plan, all {files} ready", *_cells(starts)],
        ["agent run --once, with a full report, start to end", *_cells(single_syncs)],
        ["the first run: every file hashed, full report", *_cells([first])],
        ["a bare Python that reads names and sizes", format_spread(walk_seconds), "", ""],
    ]
    columns = ["", "seconds, median (range)", "CPU s", "peak MiB"]
    return [Table(f"A start with {files} unchanged files", columns, rows)], [
        Goal(f"seconds of a start with {files} unchanged files", seconds, 2, at_least=False),
        Goal(f"the agent's peak memory with {files} files, MiB", peak, 150, at_least=False),
    ]


def create_agent_key(owner: ApiCaller) -> str:
    """Create an agent key and return its secret."""
    created = owner.post("/credentials", kind="agent", display_name="bench")
    assert created.status_code == 201, created.text
    return str(created.json()["raw_key"])


def _create_models_and_files(server: RunningServer, owner: ApiCaller, machine: MeasuredMachine, files: int) -> None:
    """Insert models into the registry, and write a file with an old modification time for each on the machine."""
    team_id = UUID(owner.team_id)
    database = Database(server.database_url)
    generated_models.insert_models(database, team_id, files, are_desired=True)
    database.close()
    for number, model in enumerate(generated_models.generate_rows(team_id, team_id, files)):
        path = machine.models / model["model_path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(generated_models.build_content(number))
        os.utime(path, (1e9, 1e9))


def _mark_files_as_placed(machine: MeasuredMachine) -> None:
    """Mark all adopted files as placed by the agent in its journal, since a start takes longer for placed files."""
    [file] = machine.state.rglob(f"{machine.agent_id}.sqlite")
    with StateFile(file) as state:
        journal = PlacementJournal(state)
        journal.confirm_all(replace(entry, origin="placed") for entry in journal.list_placements())


def _measure_start(machine: MeasuredMachine, files: int) -> Measurement:
    with RunningAgent(machine) as agent:
        seconds = agent.wait_for_log(f"{files} models: {files} ready.")
        return Measurement(seconds, agent.cpu_seconds, agent.peak_bytes)


def _measure_walk(machine: MeasuredMachine) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-c", WALK, str(machine.models)], check=True)
    return time.perf_counter() - began


def _cells(runs: list[Measurement]) -> list[str]:
    """Format the seconds, CPU time and peak memory of runs as table cells."""
    cpu = statistics.median(run.cpu_seconds for run in runs)
    return [
        format_spread([run.seconds for run in runs]),
        f"{cpu:.2f}",
        f"{max(run.peak_bytes for run in runs) / 2**20:.0f}",
    ]
