"""Run benchmarks and print their tables; exit code 1 if a goal is missed. Most run only with --only."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import fleet, lookup, migration, requests, s3, scale, transfers
from bench.table import Goal, Table, build_goals_table, describe_machine

REQUIRED_PROGRAMS = ("nginx", "curl", "aria2c", "sha256sum")
BENCH_PYTHON = Path(".venv-bench/bin/python").absolute()
# The peers come with the environments.
REQUIRED_PROGRAMS_BY_BENCH = {
    "s3": ("sha256sum",),
    "scale": (),
    "lookup": (),
    "migration": (),
    "fleet": ("aria2c", "sha256sum"),
}


def main() -> None:
    """Run the chosen benchmarks, print their tables and goals, and draw the goals if asked."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=["transfers", "requests", "s3", "scale", "lookup", "migration", "fleet"])
    parser.add_argument("--mebibytes", type=int, default=2048, help="size of the file that is pushed and pulled")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--registrations", type=int, default=2000)
    parser.add_argument(
        "--models",
        type=int,
        help="models in the long list (default 100,100; scale and lookup 1,000,000; migration 100,000; fleet 1,000)",
    )
    parser.add_argument("--files", type=int, default=10_000, help="files on the machine of the real agent, for fleet")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="draw the goals as a bar chart")
    options = parser.parse_args()
    missing = [
        program
        for program in REQUIRED_PROGRAMS_BY_BENCH.get(options.only, REQUIRED_PROGRAMS)
        if shutil.which(program) is None
    ]
    if missing:
        sys.exit(f"Missing: {', '.join(missing)}. Debian has them as nginx-light, curl, aria2, coreutils.")

    goals: list[Goal] = []
    print(f"{describe_machine()}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as home:
        for part in _measure(Path(home), options):
            _print_and_collect(goals, part)
    print(build_goals_table(goals).as_markdown())
    if options.plot:
        _draw_goals(goals, options.plot)
    sys.exit(0 if all(goal.is_met for goal in goals) else 1)


def _measure(home: Path, options: argparse.Namespace) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Run the chosen benchmarks one after the other, and yield the tables and goals of each part."""
    file_size = options.mebibytes * 2**20
    if options.only == "s3":
        yield s3.measure(home, file_size, options.rounds)
    if options.only == "scale":
        yield from scale.measure(home, options.models or 1_000_000)
    if options.only == "lookup":
        yield from lookup.measure(home, options.models or 1_000_000)
    if options.only == "migration":
        yield migration.measure(home, options.models or 100_000)
    if options.only == "fleet":
        yield from fleet.measure(home, _build_fleet_options(options))
    if options.only in {None, "transfers"}:
        yield transfers.measure(home, file_size, options.rounds)
    if options.only in {None, "requests"}:
        yield requests.measure(home, options.registrations, options.models or 100_100)


def _build_fleet_options(options: argparse.Namespace) -> fleet.FleetOptions:
    return fleet.FleetOptions(options.mebibytes * 2**20, options.rounds, options.models or 1_000, options.files)


def _draw_goals(goals: list[Goal], path: Path) -> None:
    """Draw the goals with the bench environment's matplotlib; see ``bench/plot.py``."""
    text = json.dumps([goal.as_json() for goal in goals])
    subprocess.run([BENCH_PYTHON, Path(__file__).with_name("plot.py"), path], input=text, text=True, check=True)


def _print_and_collect(goals: list[Goal], part: tuple[list[Table], list[Goal]]) -> None:
    """Print the tables at once, so that they are kept if a later benchmark fails, and add the goals to the list."""
    for table in part[0]:
        print(f"{table.as_markdown()}\n", flush=True)
    goals += part[1]


if __name__ == "__main__":
    main()
