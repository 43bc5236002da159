"""What the S3 bench found, as tables and as goals."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.processes import Run
from bench.table import Goal, Table, spread

MEBIBYTE = 2**20


@dataclass
class Found:
    """The runs of each way by its name; of SHA-256 alone; and the seconds in which the worker verified one file."""

    size: int
    pushes: dict[str, list[Run]] = field(default_factory=dict)
    pulls: dict[str, list[Run]] = field(default_factory=dict)
    hashed: list[Run] = field(default_factory=list)
    verified_seconds: list[float] = field(default_factory=list)

    def add(self, other: "Found") -> None:
        """Add what another round found."""
        for ours, theirs in ((self.pushes, other.pushes), (self.pulls, other.pulls)):
            for name, runs in theirs.items():
                ours.setdefault(name, []).extend(runs)
        self.hashed += other.hashed
        self.verified_seconds += other.verified_seconds


def tables(found: Found) -> list[Table]:
    title = f"{found.size / 2**30:g} GiB"
    push, pull = _seconds(found.pushes["modelyard push"]), _seconds(found.pulls["modelyard pull"])
    hashed, verified = _seconds(found.hashed), found.verified_seconds
    columns = ["", "seconds, median (range)", "GB/s"]
    reading = [
        ["SHA-256 alone, one thread", spread([run.seconds for run in found.hashed]), _rate(found.size, hashed)],
        ["one worker: read, SHA-256, BLAKE3", spread(verified), _rate(found.size, statistics.median(verified))],
    ]
    return [
        Table(f"Sending {title} to S3", _columns("push"), _rows(found.pushes, found.size, push)),
        Table(f"Fetching {title} from S3", _columns("pull"), _rows(found.pulls, found.size, pull)),
        Table(f"Verifying {title} in S3", columns, reading),
    ]


def goals(found: Found) -> list[Goal]:
    pushes, pulls = found.pushes, found.pulls
    push, pull = _seconds(pushes["modelyard push"]), _seconds(pulls["modelyard pull"])
    # Against the quicker of the two ways to run s5cmd.
    bare = _least(pushes, "s5cmd", "s5cmd, as it comes")
    checked = _least(pulls, "s5cmd, then sha256sum", "s5cmd, as it comes, then sha256sum")
    kept = _seconds(pulls["s5cmd, sync, then sha256sum"])
    hashing = _cpu(found.hashed)
    peak = max(run.peak_bytes for run in pushes["modelyard push"] + pulls["modelyard pull"]) / MEBIBYTE
    verified = statistics.median(found.verified_seconds)
    up = _cpu(pushes["modelyard push, hash known"]) / _cpu(pushes["s5cmd"])
    down = (_cpu(pulls["modelyard pull"]) - hashing) / _cpu(pulls["s5cmd"])
    return [
        Goal("push, hash included / s5cmd", bare / push, 1),
        Goal("pull, on the disk / (s5cmd, sync, then sha256sum)", kept / pull, 1.3),
        Goal("pull, on the disk / (s5cmd, then sha256sum), not on the disk", checked / pull, 1.3),
        Goal("client CPU of a push with a known hash / s5cmd's", up, 1, at_least=False),
        Goal("client CPU of a pull less that of SHA-256 alone / s5cmd's", down, 1, at_least=False),
        Goal("client peak RSS, MiB", peak, 200, at_least=False),
        Goal("verification / SHA-256 alone", _seconds(found.hashed) / verified, 0.8),
    ]


def _columns(ours: str) -> list[str]:
    return ["", "seconds, median (range)", "GB/s", "client CPU s", "client peak MiB", f"speed, {ours} = 1"]


def _rows(found: dict[str, list[Run]], size: int, ours: float) -> list[list[str]]:
    return [
        [
            name,
            spread([run.seconds for run in runs]),
            _rate(size, _seconds(runs)),
            f"{_cpu(runs):.2f}",
            f"{max(run.peak_bytes for run in runs) / MEBIBYTE:.0f}",
            f"{ours / _seconds(runs):.2f}",
        ]
        for name, runs in found.items()
    ]


def _least(found: dict[str, list[Run]], *names: str) -> float:
    return min(_seconds(found[name]) for name in names)


def _seconds(runs: Sequence[Run]) -> float:
    return statistics.median(run.seconds for run in runs)


def _cpu(runs: Sequence[Run]) -> float:
    return statistics.median(run.cpu_seconds for run in runs)


def _rate(size: int, seconds: float) -> str:
    return f"{size / 1e9 / seconds:.2f}"
