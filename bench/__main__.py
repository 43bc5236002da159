"""Runs every bench and prints the tables; exit code 1 if a goal is missed."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from bench import requests, transfers
from bench.table import Goal, Table, goals_table, machine

NEEDED = ("nginx", "curl", "aria2c", "sha256sum")


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument("--only", choices=["transfers", "requests"])
    options.add_argument("--mebibytes", type=int, default=2048, help="size of the file that is sent and fetched")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--registrations", type=int, default=2000)
    options.add_argument("--models", type=int, default=100_100)
    asked = options.parse_args()
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        sys.exit(f"Missing: {', '.join(missing)}. Debian has them as nginx-light, curl, aria2, coreutils.")

    goals: list[Goal] = []
    print(f"{machine()}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as home:
        if asked.only != "requests":
            _show(goals, transfers.measure(Path(home), asked.mebibytes * 2**20, asked.rounds))
        if asked.only != "transfers":
            _show(goals, requests.measure(Path(home), asked.registrations, asked.models))
    print(goals_table(goals).as_markdown())
    sys.exit(0 if all(goal.is_met for goal in goals) else 1)


def _show(goals: list[Goal], found: tuple[list[Table], list[Goal]]) -> None:
    """Print what was measured at once: a later bench that fails takes nothing of it away."""
    for table in found[0]:
        print(f"{table.as_markdown()}\n", flush=True)
    goals += found[1]


if __name__ == "__main__":
    main()
