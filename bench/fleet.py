"""Benchmarks of a fleet: two hundred simulated machines on one server, and one real agent.

``make bench-fleet``; what each row means is in docs/performance.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import fleet_download, fleet_priority, fleet_simulation, fleet_start
from bench.table import Goal, Table
from tests.postgres import RunningPostgres


@dataclass(frozen=True)
class FleetOptions:
    """Sizes and counts of the fleet benchmarks."""

    size: int  # of the large model, in bytes
    rounds: int
    models: int  # on each simulated machine
    files: int  # on the machine of the real agent


def measure(home: Path, options: FleetOptions) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Run the parts one after the other; yield the tables and goals of each."""
    yield fleet_start.measure(home, options.files, options.rounds)
    yield fleet_download.measure(home, options.size, options.rounds)
    yield from fleet_priority.measure(home)
    size = fleet_simulation.FleetSize(models=options.models)
    yield fleet_simulation.measure(home / "sqlite", "SQLite", size)
    with RunningPostgres() as postgres, postgres.database() as url:
        yield fleet_simulation.measure(home / "postgres", "PostgreSQL", size, database_url=url)
