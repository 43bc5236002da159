"""Proof that a refused request changed nothing: the database and the data folder, seen from outside."""

import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Inspector, inspect, text

from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.session import Database

# What the server writes by the clock, whoever calls.
_BY_THE_CLOCK = {"sqlite_sequence", "chore_leases"}
_COLUMNS_BY_THE_CLOCK = {"credentials": {"last_used_at"}}
# Requests that are refused are silence of the machine that makes them.
_ROWS_BY_THE_CLOCK = {"audit_events": "action = 'agent.unhealthy'"}
# Of PostgreSQL: the number that the next transaction gets that writes something.
_VERSIONS = {True: "PRAGMA data_version", False: "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"}


class Rows:
    """Every row of the registry's database, read beside the running server."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def version(self) -> int:
        """Another number whenever somebody has committed."""
        with self._database.reading() as session:
            return int(session.scalar(text(_VERSIONS[is_sqlite(self._database.engine)])) or 0)

    def all(self) -> dict[str, list[str]]:
        """The rows of each table, in a stable order."""
        schema = inspect(self._database.engine)
        found = set(schema.get_table_names()) - _BY_THE_CLOCK
        # How SQLite's index of words lies in its tables says nothing about what is in it.
        names = sorted(name for name in found if not name.startswith("search_words_"))
        with self._database.reading() as session:
            return {
                name: sorted(repr(tuple(row)) for row in session.execute(text(_rows_of(schema, name))))
                for name in names
            }

    def close(self) -> None:
        self._database.close()


def _rows_of(schema: Inspector, table: str) -> str:
    columns = {column["name"] for column in schema.get_columns(table)} - _COLUMNS_BY_THE_CLOCK.get(table, set())
    listed = ", ".join(f'"{column}"' for column in sorted(columns))
    return f'SELECT {listed} FROM "{table}" WHERE NOT ({_ROWS_BY_THE_CLOCK.get(table, "1 = 0")})'  # noqa: S608 - the names come from the schema


def tree(data_dir: Path) -> dict[str, int]:
    """Every file of the store with its size."""
    folders = [data_dir / name for name in ("objects", "uploads", "incoming")]
    found = {}
    # What the store is throwing away may go while we look; `os.walk` passes over a folder that has.
    for inside, _, names in (step for folder in folders for step in os.walk(folder)):
        for path in (Path(inside, name) for name in names):
            with suppress(FileNotFoundError):
                found[str(path.relative_to(data_dir))] = path.stat().st_size
    return found
