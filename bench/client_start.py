"""CPU time of short client commands, as a multiple of that of a bare interpreter (`python -c pass`).

`python -m bench.client_start` runs seven rounds of all commands against a registry on loopback, and prints the table.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

from bench.processes import run_measured
from bench.table import Table, describe_machine
from tests.client.model_files import write_model_file
from tests.client.server_process import run_server

ROUNDS, GOAL = 7, 18.0
BARE = ("-c", "pass")
COMMANDS = (
    *(BARE, ("-m", "modelyard", "--help"), ("-m", "modelyard", "push", "--help")),
    *(("-m", "modelyard", *words) for words in (("ls",), ("show", "loras/ink.safetensors"), ("facets",), ("whoami",))),
)


def main() -> None:
    """Start a registry with one model, measure the commands in turn, and print the median of each."""
    with tempfile.TemporaryDirectory() as folder, run_server(Path(folder) / "server") as server:
        team = server.new_team()
        environment = os.environ | {
            "HOME": folder,
            "MODELYARD_URL": team.url,
            "MODELYARD_TOKEN": team.token,
            "MODELYARD_TEAM": team.id,
        }
        model = write_model_file(Path(folder) / "models" / "loras" / "ink.safetensors")
        run_measured([sys.executable, "-m", "modelyard", "push", str(model)], environment)
        seconds: dict[tuple[str, ...], list[float]] = {command: [] for command in COMMANDS}
        for _ in range(ROUNDS):
            for command in COMMANDS:
                seconds[command].append(run_measured([sys.executable, *command], environment).cpu_seconds)
    medians = {command: statistics.median(each) for command, each in seconds.items()}
    rows = [[" ".join(name), f"{each * 1e3:.0f}", f"{each / medians[BARE]:.1f}"] for name, each in medians.items()]
    title = f"CPU time of client commands, medians of {ROUNDS} runs; goal of ls, show, facets, whoami: {GOAL:g} times"
    table = Table(title, ["", "ms", "times a bare interpreter"], rows).as_markdown()
    sys.stdout.write(f"{describe_machine()}\n\n{table}\n")


if __name__ == "__main__":
    main()
