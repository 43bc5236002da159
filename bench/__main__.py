"""Run benchmarks and print their tables; exit code 1 if a goal is missed. Most run only with --only."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import (
    collection_rollout,
    fleet,
    fleet_priority,
    hub,
    idle_fleet,
    imports,
    lookup,
    migration,
    request_path,
    requests,
    s3,
    scale,
    search,
    small_files,
    transfers,
    workflow_check,
)
from bench.results import Results, merge_results, read_results, read_saved_results, save_results
from bench.table import Goal, Table, build_goals_table, describe_machine

REQUIRED_PROGRAMS = ("nginx", "curl", "aria2c", "sha256sum")
BENCH_PYTHON = Path(".venv-bench/bin/python").absolute()
# What is measured in a registry of so many models.
MODEL_BENCHES = {
    "scale": (scale.measure, 1_000_000),
    "lookup": (lookup.measure, 1_000_000),
    "search": (search.measure, 100_000),
    "workflow-check": (workflow_check.measure, 100_000),
    "collection-rollout": (collection_rollout.measure, 100),
    "idle-fleet": (idle_fleet.measure, 1_000),
}
PART_OF_ALL = frozenset({"workflow-check", "collection-rollout"})
# The peers come with the environments.
REQUIRED_PROGRAMS_BY_BENCH = {
    "s3": ("sha256sum",),
    "small-files": (),
    **dict.fromkeys(MODEL_BENCHES, ()),
    "request-path": (),
    "migration": (),
    "slow-line": (),
    "hf": (),
    "import": ("nginx", "curl", "sha256sum"),
    "fleet": ("aria2c", "sha256sum"),
}


def main() -> None:
    """Run the chosen benchmarks, print their tables and goals, and save and draw the goals if asked."""
    parser = _build_parser()
    options = parser.parse_args()
    if options.results:
        if not options.plot:
            parser.error("--results draws what was saved: name the chart with --plot SVG.")
        _draw(merge_results(options.results), options.plot)
        return
    machine = describe_machine()
    if options.save:
        try:
            read_saved_results(options.save, machine)
        except ValueError as error:
            parser.error(f"--save {options.save}: {error}")
    _check_programs(options.only)
    goals: list[Goal] = []
    print(f"{machine}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as home:
        for tables, measured in _measure(Path(home), options):
            _print_tables(tables)
            goals += measured
            if options.save:
                # At once, so that they are kept if a later benchmark fails.
                save_results(options.save, Results(machine, tuple(measured)))
    print(build_goals_table(goals).as_markdown())
    if options.plot:
        _draw(read_results(options.save) if options.save else Results(machine, tuple(goals)), options.plot)
    sys.exit(0 if all(goal.is_met for goal in goals) else 1)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only",
        choices=[
            *("transfers", "requests", "request-path", "s3", "small-files", "migration", "fleet", "hf", "import"),
            "slow-line",
            *MODEL_BENCHES,
        ],
    )
    parser.add_argument("--mebibytes", type=int, default=2048, help="size of the file that is pushed and pulled")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--registrations", type=int, default=2000)
    parser.add_argument(
        "--models",
        type=int,
        help="models in the long list (default 100,100; scale and lookup 1,000,000; search, migration and "
        "workflow-check 100,000; fleet and idle-fleet 1,000; collection-rollout 100)",
    )
    parser.add_argument(
        "--files",
        type=int,
        help="files on the machine of the real agent, for fleet (default 10,000); files that small-files copies (500)",
    )
    parser.add_argument(
        "--plot", type=Path, metavar="SVG", help="draw the goals as a bar chart, with --save all that are in that file"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="add the goals to those of earlier runs in a file")
    parser.add_argument(
        "--results", type=Path, nargs="+", metavar="FILE", help="run nothing: draw the goals that were saved in files"
    )
    return parser


def _check_programs(only: str | None) -> None:
    """Exit with the names of the programs that the chosen benchmark needs and that are missing."""
    required = REQUIRED_PROGRAMS_BY_BENCH.get(only or "", REQUIRED_PROGRAMS)
    if missing := [program for program in required if shutil.which(program) is None]:
        sys.exit(f"Missing: {', '.join(missing)}. Debian has them as nginx-light, curl, aria2, coreutils.")


def _measure(home: Path, options: argparse.Namespace) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Run the chosen benchmarks one after the other, and yield the tables and goals of each part."""
    file_size = options.mebibytes * 2**20
    if options.only == "fleet":
        yield from fleet.measure(home, _build_fleet_options(options))
    for name, (measure, models) in MODEL_BENCHES.items():
        if options.only == name or (options.only is None and name in PART_OF_ALL):
            yield from measure(home, options.models or models)
    if options.only == "slow-line":
        yield from fleet_priority.measure(home)
    if options.only == "migration":
        yield migration.measure(home, options.models or 100_000)
    yield from _measure_requests_and_transfers(home, file_size, options)


def _measure_requests_and_transfers(
    home: Path, file_size: int, options: argparse.Namespace
) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Run the benchmarks of transfers and requests that were chosen, as without ``--only``."""
    if options.only == "s3":
        yield s3.measure(home, file_size, options.rounds)
    if options.only == "small-files":
        yield small_files.measure(home, options.files or 500, options.rounds)
    if options.only == "hf":
        yield hub.measure(home, file_size, options.rounds)
    if options.only == "import":
        yield imports.measure(home, file_size, options.rounds)
    if options.only in {None, "transfers"}:
        yield transfers.measure(home, file_size, options.rounds)
    if options.only in {None, "request-path"}:
        yield request_path.measure(home)
    if options.only in {None, "requests"}:
        yield requests.measure(home, options.registrations, options.models or 100_100)


def _build_fleet_options(options: argparse.Namespace) -> fleet.FleetOptions:
    return fleet.FleetOptions(
        options.mebibytes * 2**20, options.rounds, options.models or 1_000, options.files or 10_000
    )


def _draw(results: Results, path: Path) -> None:
    """Draw the goals with the bench environment's matplotlib; see ``bench/plot.py``."""
    program = Path(__file__).with_name("plot.py")
    subprocess.run([BENCH_PYTHON, program, path], input=results.as_json(), text=True, check=True)


def _print_tables(tables: list[Table]) -> None:
    """Print the tables at once, so that they are kept if a later benchmark fails."""
    for table in tables:
        print(f"{table.as_markdown()}\n", flush=True)


if __name__ == "__main__":
    main()
