"""Runs the benches and prints their tables; exit code 1 if a goal is missed. S3, scale and fleet run only if named."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from bench import fleet, requests, s3, scale, transfers
from bench.table import Goal, Table, goals_table, machine

NEEDED = ("nginx", "curl", "aria2c", "sha256sum")
# The peers come with the environments.
NEEDED_FOR = {"s3": ("sha256sum",), "scale": (), "fleet": ("aria2c", "sha256sum")}


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument("--only", choices=["transfers", "requests", "s3", "scale", "fleet"])
    options.add_argument("--mebibytes", type=int, default=2048, help="size of the file that is sent and fetched")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--registrations", type=int, default=2000)
    options.add_argument(
        "--models", type=int, help="in the long list: 100,100, or a million for scale, or a thousand for fleet"
    )
    options.add_argument("--files", type=int, default=10_000, help="that an agent starts among, for fleet")
    asked = options.parse_args()
    missing = [program for program in NEEDED_FOR.get(asked.only, NEEDED) if shutil.which(program) is None]
    if missing:
        sys.exit(f"Missing: {', '.join(missing)}. Debian has them as nginx-light, curl, aria2, coreutils.")

    goals: list[Goal] = []
    print(f"{machine()}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as home:
        if asked.only == "s3":
            _show(goals, s3.measure(Path(home), asked.mebibytes * 2**20, asked.rounds))
        if asked.only == "scale":
            for found in scale.measure(Path(home), asked.models or 1_000_000):
                _show(goals, found)
        if asked.only == "fleet":
            for found in fleet.measure(Path(home), _fleet(asked)):
                _show(goals, found)
        if asked.only in {None, "transfers"}:
            _show(goals, transfers.measure(Path(home), asked.mebibytes * 2**20, asked.rounds))
        if asked.only in {None, "requests"}:
            _show(goals, requests.measure(Path(home), asked.registrations, asked.models or 100_100))
    print(goals_table(goals).as_markdown())
    sys.exit(0 if all(goal.is_met for goal in goals) else 1)


def _fleet(asked: argparse.Namespace) -> fleet.Asked:
    return fleet.Asked(asked.mebibytes * 2**20, asked.rounds, asked.models or 1_000, asked.files)


def _show(goals: list[Goal], found: tuple[list[Table], list[Goal]]) -> None:
    """Print what was measured at once: a later bench that fails takes nothing of it away."""
    for table in found[0]:
        print(f"{table.as_markdown()}\n", flush=True)
    goals += found[1]


if __name__ == "__main__":
    main()
