"""One agent on a slow line: how long a small model takes beside large ones, and beside models whose store fails."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.agent_process import MeasuredMachine, RunningAgent
from bench.fleet_start import create_agent_key
from bench.processes import run_measured
from bench.slow_line import Fault, SlowLine
from bench.table import Goal, Table
from bench.transfers import MODELYARD
from tests.running import RunningServer
from tests.server.harness import ApiCaller
from tools.model_files import write_safetensors

MEGABYTE = 1_000_000
RATES = (5, 20)  # megabytes a second
# What a model may take in addition to its bytes on the line.
EXTRA_SECONDS = 5.0
SMALL, MEDIUM, LARGE = 50 * MEGABYTE, 200 * MEGABYTE, 700 * MEGABYTE


@dataclass(frozen=True)
class Case:
    """Models that are desired first, and one that is added while they are downloaded; sizes in bytes.

    ``limit``: the machine's rate limit, as a share of the line; None for none.
    """

    name: str
    sizes: Sequence[int]
    added: int
    fault: Fault | None = None
    limit: float | None = None


CASES = (
    Case("a small model beside a large one", [LARGE], SMALL),
    Case("a LoRA beside four large models", [LARGE] * 4, MEDIUM),
    Case("a small model beside a large one, with a rate limit", [LARGE], SMALL, limit=0.8),
    Case("a small model, the store refuses 4 others", [SMALL] * 4, SMALL, "refuse"),
    Case("a small model, the store refuses 40 others", [SMALL] * 40, SMALL, "refuse"),
    Case("a small model, the store stalls for 4 others", [SMALL] * 4, SMALL, "stall"),
    Case("a small model, the store stalls for 20 others", [SMALL] * 20, SMALL, "stall"),
)


def measure(home: Path) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Measure each case once at each rate, and yield a table for each."""
    for case in CASES:
        rows: list[list[str]] = []
        goals: list[Goal] = []
        for rate in RATES:
            with _open_registry(home) as registry:
                seconds = registry.measure(case, rate * MEGABYTE)
            wire = case.added / (rate * MEGABYTE * (case.limit or 1))
            rows.append([f"{rate} MB/s", f"{wire:.1f}", f"{seconds:.1f}"])
            goals.append(Goal(f"{case.name}, {rate} MB/s: seconds", seconds, wire + EXTRA_SECONDS, at_least=False))
        columns = ["line", "seconds on the line", "seconds until it is in place"]
        yield [Table(f"{case.name}: {case.added // MEGABYTE} MB", columns, rows)], goals


@dataclass
class _Registry:
    """A running registry, and a folder for the machine."""

    home: Path
    server: RunningServer
    owner: ApiCaller

    def measure(self, case: Case, bytes_per_second: float) -> float:
        """Return the seconds from the moment in which a model is desired until it is in place."""
        others = [self._push(f"loras/other{number}.safetensors", size) for number, size in enumerate(case.sizes)]
        added = self._push("loras/added.safetensors", case.added)
        self._set_status(added, "disabled")
        with SlowLine(self.server.url, bytes_per_second) as line:
            if case.fault is not None:
                line.faults = {self._find_key(model_id).encode(): case.fault for model_id in others}
            machine = MeasuredMachine(self.home / "machine", line.url, create_agent_key(self.owner))
            if case.limit is not None:
                machine.environment["MODELYARD_AGENT_RATE_LIMIT"] = f"{case.limit * bytes_per_second / MEGABYTE:g}MB"
            with RunningAgent(machine) as agent:
                agent.wait_until(lambda: line.faults_met >= 4 if case.fault else line.bytes_sent > 2 * MEGABYTE, 0.05)
                began = time.perf_counter()
                self._set_status(added, "active")
                agent.wait_until((machine.models / "loras/added.safetensors").exists, 0.05)
                return time.perf_counter() - began

    def _push(self, path: str, size: int) -> str:
        """Push a model of random bytes and return its id."""
        file = self.home / "pushed.safetensors"
        write_safetensors(file, size)
        environment = {
            "MODELYARD_URL": self.server.url,
            "MODELYARD_TOKEN": self.owner.token or "",
            "MODELYARD_TEAM": self.owner.team_id or "",
        }
        run_measured([MODELYARD, "--quiet", "push", str(file), "--path", path], os.environ | environment)
        file.unlink()
        models = self.owner.get("/models").json()["model_list"]
        return next(str(model["id"]) for model in models if model["model_path"] == path)

    def _set_status(self, model_id: str, status: str) -> None:
        response = self.owner.put(f"/models/{model_id}", model_status=status)
        assert response.status_code == 200, response.text

    def _find_key(self, model_id: str) -> str:
        """Return the part of a model's download URL that no other model has."""
        url = str(self.owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"])
        return url.partition("?")[0].rpartition("/")[2]


@contextmanager
def _open_registry(home: Path) -> Iterator[_Registry]:
    """Start a registry with an empty folder."""
    folder = home / "priority"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with RunningServer(folder / "data", log_level="warning") as server:
        yield _Registry(folder, server, server.owner())
