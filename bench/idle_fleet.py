"""What 200 idle machines cost a server, on both databases: a part of ``fleet`` that needs no other program."""

from collections.abc import Iterator
from pathlib import Path

from bench.fleet_simulation import FleetSize, measure_idle
from bench.table import Goal, Table
from tests.postgres import RunningPostgres


def measure(home: Path, models: int) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Measure the server's CPU with an idle fleet, on one database after the other."""
    size = FleetSize(models=models)
    yield measure_idle(home / "sqlite", "SQLite", size)
    with RunningPostgres() as postgres, postgres.database() as url:
        yield measure_idle(home / "postgres", "PostgreSQL", size, database_url=url)
