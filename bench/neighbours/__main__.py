"""Measure how long one team's requests take while a person sends expensive ones; print p50 and p99 as a table.

Each flood is measured on SQLite with a folder, and on PostgreSQL with S3; some are sent from several teams of one
person. With --commit, a server of another commit is measured in turn with that of this checkout. The exit code is 1 if
a flood was not handled or a measured request failed, and not if latencies are high.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path

from bench.neighbours.flood import FloodFailedError
from bench.neighbours.floods import FLOODS, FROM_MANY_TEAMS
from bench.neighbours.latency import RequestFailedError
from bench.neighbours.measure import Measurement, Program, measure_flood, open_databases
from bench.table import Table, describe_machine
from tools.older_release import install_commit

DATABASES = ("SQLite", "PostgreSQL")
COLUMNS = ("flood", "teams", "database", "request", "quiet", "loaded", "ratio", "flood's responses")
TITLE = "Latencies of another team's requests, p50 / p99 in milliseconds, and how many times longer they are"


def main() -> None:
    """Measure the chosen floods, and print all that was measured; then fail if a flood or a measured request did."""
    options = _build_parser().parse_args()
    merged: dict[tuple[str | int, ...], Measurement] = {}
    failures = list[str]()
    with tempfile.TemporaryDirectory(prefix="modelyard-neighbours-") as home:
        for measured in _measure_all(Path(home), options, failures):
            key = measured.flood, measured.teams, measured.database, measured.request, measured.program
            merged[key] = merged[key].merge(measured) if key in merged else measured
    print(_format_json([*merged.values()]) if options.json else _format_table([*merged.values()], options))
    if failures:
        sys.exit("\n".join(failures))


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench-neighbours", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=FLOODS, metavar="FLOOD", help=f"some of {', '.join(FLOODS)}")
    parser.add_argument(
        "--teams", nargs="+", type=int, default=[1, 5, 40], metavar="N", help="of the person who sends it (1 5 40)"
    )
    parser.add_argument("--on", choices=DATABASES, help="one of the databases")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement of a request (default 6)")
    parser.add_argument("--rounds", type=int, help="new servers for each row (default 1, with --commit 3)")
    parser.add_argument("--commit", help="the other commit")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _measure_all(home: Path, options: argparse.Namespace, failures: list[str]) -> Iterator[Measurement]:
    """Measure each flood on each database and commit, in turn; floods that were not handled are added to failures."""
    rounds = options.rounds or (3 if options.commit else 1)
    with ExitStack() as stack:
        programs = [Program("this checkout", Path(sys.executable))]
        if options.commit:
            programs.append(Program(options.commit, install_commit(options.commit)))
        databases = stack.enter_context(open_databases([options.on] if options.on else list(DATABASES)))
        for flood, database, number in product(_list_floods(options), databases.items(), range(rounds)):
            for program in programs[:: -1 if number % 2 else 1]:
                name = f"{flood[0]} from {flood[1]} teams on {database[0]} with {program.name}"
                print(name, file=sys.stderr, flush=True)
                try:
                    yield from measure_flood(*flood, database, program, home / "server", options.seconds)
                except (FloodFailedError, RequestFailedError, OSError) as failed:
                    failures.append(f"{name}: {failed}.")
                finally:
                    shutil.rmtree(home / "server", ignore_errors=True)


def _list_floods(options: argparse.Namespace) -> list[tuple[str, int]]:
    """Return the chosen floods, each with the numbers of teams from which it is sent."""
    return [
        (flood, teams)
        for flood in options.only or FLOODS
        for teams in (options.teams if flood in FROM_MANY_TEAMS else [1])
    ]


def _format_json(measured: list[Measurement]) -> str:
    measurements = [each.as_json() for each in measured]
    return json.dumps({"machine": describe_machine(), "measurements": measurements}, indent=2)


def _format_table(measured: list[Measurement], options: argparse.Namespace) -> str:
    """Return the table, whose columns are aligned; with two commits, it names that of each row instead of responses."""
    rows = [list(COLUMNS), *(_build_row(each) for each in measured)]
    if options.commit:
        rows = [
            [cells[0], name, *cells[1:-1]]
            for cells, name in zip(rows, ["commit", *(each.program for each in measured)], strict=True)
        ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    header, *aligned = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return f"{describe_machine()}\n\n{Table(TITLE, header, aligned).as_markdown()}"


def _build_row(measured: Measurement) -> list[str]:
    quiet, loaded = (
        f"{each.get_quantile(0.5):.1f} / {each.get_quantile(0.99):.1f}" for each in (measured.quiet, measured.loaded)
    )
    ratio = f"{measured.get_ratio(0.5):.1f} / {measured.get_ratio(0.99):.1f}"
    responses = ", ".join(f"{count} {status}" for status, count in sorted(measured.counts.items()))
    return [measured.flood, str(measured.teams), measured.database, measured.request, quiet, loaded, ratio, responses]


if __name__ == "__main__":
    main()
