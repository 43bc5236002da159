"""Compare the server of this checkout with that of an older commit: the same requests to both, in turn.

    python -m bench.compare_commits 7b96001

Both run at once on SQLite and a folder, with equal models. A request goes to both servers before the next one does, so
that disturbances affect both alike; which of them comes first changes each time.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.table import Goal, Table, build_goals_table, describe_machine
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file
from tools.older_release import install_commit

# The median may be so many times that of the older commit.
MAX_RATIO = 1.2
AGENT_ID = "render-07"
TRANSFER_ROUNDS = 7
FILE_BYTES = 256 * 2**20
Request = Callable[["Registry", int], Any]


class Registry:
    """A running server of one commit, with its owner and the key of a machine."""

    def __init__(self, server: RunningServer) -> None:
        self.owner = server.owner()
        self._python, self._home = server.python, server.data_dir.with_name(f"{server.data_dir.name}-client")
        token = self.owner.post("/credentials", kind="integration", display_name="Transfers").json()["raw_key"]
        self._environment = os.environ | {"MODELYARD_URL": server.url, "MODELYARD_TOKEN": token}
        key = self.owner.post("/credentials", kind="agent", display_name="Machines").json()["raw_key"]
        self.machine = ApiCaller(self.owner.client, key)
        assert self.machine.post("/agent/heartbeat", agent_id=AGENT_ID).status_code == 200
        self.model_ids: list[str] = []

    def register(self, number: int) -> None:
        """Upload and register a new model; it is verified when this returns or soon after."""
        content = make_model_file(f"model {number}", 1000 + number)
        answer = self.owner.post("/models", **self.owner.new_model(content, f"loras/{number}.safetensors"))
        assert answer.status_code == 201, answer.text
        self.model_ids.append(answer.json()["id"])

    def get_model(self, number: int) -> None:
        assert self.owner.get(f"/models/{self.model_ids[number % len(self.model_ids)]}").status_code == 200

    def list_models(self, number: int) -> None:
        answer = self.owner.get("/models", per_page=100, current_page=1 + number % (len(self.model_ids) // 100))
        assert len(answer.json()["model_list"]) == 100

    def search(self, number: int) -> None:
        assert self.owner.get("/models", q=str(number % 90 + 10)).status_code == 200

    def build_manifest(self, number: int) -> None:
        """Change a model, and read the manifest that this makes the server build anew."""
        model_id = self.model_ids[number % len(self.model_ids)]
        assert self.owner.put(f"/models/{model_id}", description=f"Change {number}.").status_code == 200
        assert self.machine.get("/agent/manifest", agent_id=AGENT_ID).status_code == 200

    def push(self, number: int) -> None:
        """Push a new file of ``FILE_BYTES`` with the command of this server's commit."""
        file = self._home / f"push-{number}.safetensors"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(make_model_file(f"file {number}", FILE_BYTES))
        self._run("push", str(file), "--type", "loras")

    def pull(self, number: int) -> None:
        """Pull the file that ``push`` sent under this number."""
        self._run("pull", f"loras/push-{number}.safetensors", "-o", str(self._home / "pulled"))

    def _run(self, *arguments: str) -> None:
        command = [str(self._python), "-m", "modelyard", *arguments]
        subprocess.run(command, env=self._environment, check=True, capture_output=True)


REQUESTS: dict[str, Request] = {
    "registration (presign, PUT, register)": Registry.register,
    "GET /models/{id}": Registry.get_model,
    "GET /models, 100 rows": Registry.list_models,
    "GET /models?q=": Registry.search,
    "change, and manifest of all models": Registry.build_manifest,
}
TRANSFERS: dict[str, Request] = {"modelyard push, 256 MiB": Registry.push, "modelyard pull, 256 MiB": Registry.pull}


def main() -> None:
    """Print the medians of both commits, and exit with 1 if a ratio is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", help="the older commit")
    parser.add_argument("--requests", type=int, default=600, help="requests of each kind, at least 100")
    options = parser.parse_args()
    print(f"{describe_machine()}\n", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="modelyard-compare-") as home,
        _open_both(Path(home), options.commit) as both,
    ):
        table, goals = _measure(*both, options.commit, options.requests)
    print(f"{table.as_markdown()}\n\n{build_goals_table(goals).as_markdown()}")
    sys.exit(0 if all(goal.is_met for goal in goals) else 1)


@contextmanager
def _open_both(home: Path, commit: str) -> Iterator[tuple[Registry, Registry]]:
    """Run the servers of both commits."""
    old, new = RunningServer(home / "old"), RunningServer(home / "new")
    old.python = install_commit(commit)
    with old, new:
        yield Registry(old), Registry(new)


def _measure(old: Registry, new: Registry, commit: str, count: int) -> tuple[Table, list[Goal]]:
    """Send all kinds of requests to both servers; return the medians, and the ratios as goals."""
    rows, goals = [], []
    counts = dict.fromkeys(REQUESTS, count) | dict.fromkeys(TRANSFERS, TRANSFER_ROUNDS)
    for name, request in (REQUESTS | TRANSFERS).items():
        times = _time_in_turn(request, old, new, counts[name])
        medians = [statistics.median(each) for each in times]
        rows.append([name, *(f"{median:.2f}" for median in medians), f"{medians[1] / medians[0]:.2f}"])
        goals.append(Goal(f"{name}, ratio of medians", medians[1] / medians[0], MAX_RATIO, at_least=False))
    columns = ["median milliseconds", commit, "this checkout", "ratio"]
    return Table(f"{count} requests of each kind, {TRANSFER_ROUNDS} transfers", columns, rows), goals


def _time_in_turn(request: Request, old: Registry, new: Registry, count: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds of each request to both servers."""
    times: dict[Registry, list[float]] = {old: [], new: []}
    for number in range(count):
        for registry in (old, new) if number % 2 else (new, old):
            began = time.perf_counter()
            request(registry, number)
            times[registry].append((time.perf_counter() - began) * 1e3)
    return times[old], times[new]


if __name__ == "__main__":
    main()
