"""The fleet: two hundred simulated machines on one server, and one real agent.

``make bench-fleet``; what each row means is in docs/performance.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import fleet_download, fleet_herd, fleet_start
from bench.table import Goal, Table
from tests.postgres import RunningPostgres


@dataclass(frozen=True)
class Asked:
    """How much is measured."""

    size: int  # of the large model, in bytes
    rounds: int
    models: int  # that the simulated machines hold
    files: int  # among which the real agent starts


def measure(home: Path, asked: Asked) -> Iterator[tuple[list[Table], list[Goal]]]:
    """One part after the other, each alone on the machine."""
    yield fleet_start.measure(home, asked.files, asked.rounds)
    yield fleet_download.measure(home, asked.size, asked.rounds)
    size = fleet_herd.Size(models=asked.models)
    yield fleet_herd.measure(home / "sqlite", "SQLite", size)
    with RunningPostgres() as postgres, postgres.database() as url:
        yield fleet_herd.measure(home / "postgres", "PostgreSQL", size, database_url=url)
