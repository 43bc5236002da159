"""The fleet: two hundred simulated machines on one server, and one real agent.

``make bench-fleet``; what each row means is in docs/performance.md.
"""

from collections.abc import Iterator
from pathlib import Path

from bench import fleet_download, fleet_herd, fleet_start
from bench.table import Goal, Table
from tests.postgres import RunningPostgres


def measure(home: Path, size: int, rounds: int, models: int, files: int) -> Iterator[tuple[list[Table], list[Goal]]]:
    """One part after the other; each alone on the machine."""
    fleet = fleet_herd.Size(models=models)
    yield fleet_herd.measure(home / "sqlite", "SQLite", fleet)
    with RunningPostgres() as postgres, postgres.database() as url:
        yield fleet_herd.measure(home / "postgres", "PostgreSQL", fleet, database_url=url)
    yield fleet_download.measure(home, size, rounds)
    yield fleet_start.measure(home, files, rounds)
