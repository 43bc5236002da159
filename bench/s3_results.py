"""Results of the S3 benchmark, and the tables and goals made from them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.processes import Measurement
from bench.table import Goal, Table, format_spread

MEBIBYTE = 2**20


@dataclass
class Results:
    """Measurements by method, of SHA-256 alone, and the seconds in which a worker verified one file."""

    size: int
    pushes: dict[str, list[Measurement]] = field(default_factory=dict)
    pulls: dict[str, list[Measurement]] = field(default_factory=dict)
    hashed: list[Measurement] = field(default_factory=list)
    verified_seconds: list[float] = field(default_factory=list)

    def add(self, round_results: "Results") -> None:
        """Add the results of another round."""
        for own_seconds, added in ((self.pushes, round_results.pushes), (self.pulls, round_results.pulls)):
            for name, runs in added.items():
                own_seconds.setdefault(name, []).extend(runs)
        self.hashed += round_results.hashed
        self.verified_seconds += round_results.verified_seconds


def build_tables(results: Results) -> list[Table]:
    """Build the tables of uploads, downloads and verification."""
    title = f"{results.size / 2**30:g} GiB"
    push, pull = _seconds(results.pushes["modelyard push"]), _seconds(results.pulls["modelyard pull"])
    hashed, verified = _seconds(results.hashed), results.verified_seconds
    columns = ["", "seconds, median (range)", "GB/s"]
    verification_rows = [
        [
            "SHA-256 alone, one thread",
            format_spread([run.seconds for run in results.hashed]),
            _rate(results.size, hashed),
        ],
        [
            "one worker: read, SHA-256, BLAKE3",
            format_spread(verified),
            _rate(results.size, statistics.median(verified)),
        ],
    ]
    return [
        Table(f"Sending {title} to S3", _columns("push"), _rows(results.pushes, results.size, push)),
        Table(f"Fetching {title} from S3", _columns("pull"), _rows(results.pulls, results.size, pull)),
        Table(f"Verifying {title} in S3", columns, verification_rows),
    ]


def build_goals(results: Results) -> list[Goal]:
    """Build the goals: ratios against s5cmd and SHA-256, and peak memory."""
    pushes, pulls = results.pushes, results.pulls
    push, pull = _seconds(pushes["modelyard push"]), _seconds(pulls["modelyard pull"])
    # Against the quicker of the two ways to run s5cmd.
    s5cmd_seconds = _find_fastest(pushes, "s5cmd", "s5cmd, as it comes")
    hashed_seconds = _find_fastest(pulls, "s5cmd, then sha256sum", "s5cmd, as it comes, then sha256sum")
    synced_seconds = _seconds(pulls["s5cmd, sync, then sha256sum"])
    hashing = _cpu(results.hashed)
    peak = max(run.peak_bytes for run in pushes["modelyard push"] + pulls["modelyard pull"]) / MEBIBYTE
    verified = statistics.median(results.verified_seconds)
    push_cpu_ratio = _cpu(pushes["modelyard push, hash known"]) / _cpu(pushes["s5cmd"])
    pull_cpu_ratio = (_cpu(pulls["modelyard pull"]) - hashing) / _cpu(pulls["s5cmd"])
    return [
        Goal("push, hash included / s5cmd", s5cmd_seconds / push, 1),
        Goal("pull, on the disk / (s5cmd, sync, then sha256sum)", synced_seconds / pull, 1.3),
        Goal("pull, on the disk / (s5cmd, then sha256sum), not on the disk", hashed_seconds / pull, 1.3),
        Goal("client CPU of a push with a known hash / s5cmd's", push_cpu_ratio, 1, at_least=False),
        Goal("client CPU of a pull less that of SHA-256 alone / s5cmd's", pull_cpu_ratio, 1, at_least=False),
        Goal("client peak RSS, MiB", peak, 200, at_least=False),
        Goal("verification / SHA-256 alone", _seconds(results.hashed) / verified, 0.8),
    ]


def _columns(own_seconds: str) -> list[str]:
    return ["", "seconds, median (range)", "GB/s", "client CPU s", "client peak MiB", f"speed, {own_seconds} = 1"]


def _rows(results: dict[str, list[Measurement]], size: int, own_seconds: float) -> list[list[str]]:
    """Build one table row for each method."""
    return [
        [
            name,
            format_spread([run.seconds for run in runs]),
            _rate(size, _seconds(runs)),
            f"{_cpu(runs):.2f}",
            f"{max(run.peak_bytes for run in runs) / MEBIBYTE:.0f}",
            f"{own_seconds / _seconds(runs):.2f}",
        ]
        for name, runs in results.items()
    ]


def _find_fastest(results: dict[str, list[Measurement]], *names: str) -> float:
    return min(_seconds(results[name]) for name in names)


def _seconds(runs: Sequence[Measurement]) -> float:
    return statistics.median(run.seconds for run in runs)


def _cpu(runs: Sequence[Measurement]) -> float:
    return statistics.median(run.cpu_seconds for run in runs)


def _rate(size: int, seconds: float) -> str:
    return f"{size / 1e9 / seconds:.2f}"
