"""Push and pull of many small files over S3, against ``rclone copy`` on the same SeaweedFS."""

import statistics
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from bench.processes import sync_disks
from bench.small_files_environment import Run, SmallFilesEnvironment
from bench.table import Goal, Table, format_spread
from tests.seaweed import RunningSeaweed

FILE_BYTES = 1_000_000
PUSH, PUSH_KNOWN, PULL = "push", "push of known files", "pull"
RCLONE, RCLONE_SYNCED, MODELYARD = "rclone copy", "rclone copy, then sync", "modelyard"

Methods = dict[str, Callable[[], Run]]
# Runs by operation and program, one for each round.
Results = dict[str, dict[str, list[Run]]]


def measure(home: Path, files: int, rounds: int) -> tuple[list[Table], list[Goal]]:
    """Run every operation with both programs ``rounds`` times, beginning with the other one each round.

    One additional first round is not counted: it is slower, as its memory is used for the first time.
    """
    results: Results = {}
    with RunningSeaweed(volume_megabytes=1024) as seaweed:
        for number in range(rounds + 1):
            with SmallFilesEnvironment(home / f"round-{number}", files, FILE_BYTES, seaweed) as environment:
                for operation, runs in _run_round(environment, is_reversed=number % 2 == 1).items():
                    for program, run in runs.items() if number else ():
                        results.setdefault(operation, {}).setdefault(program, []).append(run)
    tables = [_build_table(operation, runs, files) for operation, runs in results.items()]
    return tables, _build_goals(results, files)


def _run_round(environment: SmallFilesEnvironment, *, is_reversed: bool) -> dict[str, dict[str, Run]]:
    """Measure pushes to a registry without verification workers, then pulls of the verified files."""
    pushes: Methods = {MODELYARD: environment.push, RCLONE: environment.push_with_rclone}
    pulls: Methods = {
        MODELYARD: environment.pull,
        RCLONE: partial(environment.pull_with_rclone, is_synced=False),
        RCLONE_SYNCED: partial(environment.pull_with_rclone, is_synced=True),
    }
    results = {PUSH: _run_all(pushes, is_reversed=is_reversed), PUSH_KNOWN: _run_all(pushes, is_reversed=is_reversed)}
    environment.verify()
    return results | {PULL: _run_all(pulls, is_reversed=is_reversed)}


def _run_all(methods: Methods, *, is_reversed: bool) -> dict[str, Run]:
    """Run each method once, and return the runs by name in the order of ``methods``."""
    runs: dict[str, Run] = {}
    for name in reversed(methods) if is_reversed else methods:
        sync_disks()
        runs[name] = methods[name]()
    return {name: runs[name] for name in methods}


def _build_table(operation: str, runs: dict[str, list[Run]], files: int) -> Table:
    """Build the table of one operation: rates, and what a thousand files cost."""
    thousands = files / 1000
    columns = ["", "seconds, median (range)", "files a second", "client CPU s / 1,000 files", "registry", "store"]
    rows = [
        [
            name,
            format_spread([run.client.seconds for run in each]),
            f"{files / _median(run.client.seconds for run in each):.0f}",
            f"{_median(run.client.cpu_seconds for run in each) / thousands:.2f}",
            f"{_median(run.registry_cpu_seconds for run in each) / thousands:.2f}",
            f"{_median(run.store_cpu_seconds for run in each) / thousands:.2f}",
            f"{_median(run.requests for run in each) / files:.3f}",
            f"{max(run.client.peak_bytes for run in each) / 2**20:.0f}",
        ]
        for name, each in runs.items()
    ]
    return Table(f"{operation}, {files:,} files of 1 MB".capitalize(), [*columns, "requests a file", "peak MiB"], rows)


def _build_goals(results: Results, files: int) -> list[Goal]:
    """Build the goals: the medians of each round's ratio of rates, and the requests for a known file."""
    known = _median(run.requests for run in results[PUSH_KNOWN][MODELYARD]) / files
    return [
        Goal(f"push of {files:,} files / rclone copy", _compute_ratio(results[PUSH]), 0.8),
        Goal(f"pull of {files:,} files, on the disk / rclone copy", _compute_ratio(results[PULL]), 0.8),
        Goal("requests for each known file", known, 0.05, at_least=False),
    ]


def _compute_ratio(runs: dict[str, list[Run]]) -> float:
    """Return the median over all rounds of modelyard's rate as a share of rclone's."""
    pairs = zip(runs[RCLONE], runs[MODELYARD], strict=True)
    return _median(rclone.client.seconds / own.client.seconds for rclone, own in pairs)


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)
