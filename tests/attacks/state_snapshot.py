"""Snapshots of the database rows and the stored files, to check that a refused request changed nothing."""

import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Inspector, inspect, text

from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.session import Database

# What the server changes with time, independent of requests.
# A job empties the outbox of webhooks.
_TABLES_CHANGED_BY_TIME = {"sqlite_sequence", "job_leases", "unpublished_audit_events"}
_COLUMNS_CHANGED_BY_TIME = {
    "credentials": {"last_used_at"},
    # Hashes that a job computes after verification.
    "blobs": {"autov1", "autov3", "crc32", "hash_retry_at"},
    # A job records that a file has no picture.
    "model_versions": {"preview_source", "preview_retry_at"},
}
# A machine whose requests are refused counts as silent, which is recorded after a while.
_ROWS_CHANGED_BY_TIME = {"audit_events": "action = 'agent.unhealthy'"}
# By whether it is SQLite. In PostgreSQL, the id that the next writing transaction gets.
_VERSION_QUERIES = {True: "PRAGMA data_version", False: "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"}


class DatabaseRows:
    """Reads all rows of the registry's database while the server runs."""

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def version(self) -> int:
        """Return a number that changes with every commit of another connection."""
        with self._database.reading() as session:
            return int(session.scalar(text(_VERSION_QUERIES[is_sqlite(self._database.engine)])) or 0)

    def read_all(self) -> dict[str, list[str]]:
        """Return the rows of each table, sorted, without what changes with time."""
        schema = inspect(self._database.engine)
        tables = set(schema.get_table_names()) - _TABLES_CHANGED_BY_TIME
        # The layout of SQLite's search index in its tables does not depend on its content alone.
        names = sorted(name for name in tables if not name.startswith("search_words_"))
        with self._database.reading() as session:
            return {
                name: sorted(repr(tuple(row)) for row in session.execute(text(_build_rows_query(schema, name))))
                for name in names
            }

    def close(self) -> None:
        self._database.close()


def _build_rows_query(schema: Inspector, table: str) -> str:
    columns = {column["name"] for column in schema.get_columns(table)} - _COLUMNS_CHANGED_BY_TIME.get(table, set())
    listed = ", ".join(f'"{column}"' for column in sorted(columns))
    return f'SELECT {listed} FROM "{table}" WHERE NOT ({_ROWS_CHANGED_BY_TIME.get(table, "1 = 0")})'  # noqa: S608 - the names come from the schema


def list_store_files(data_dir: Path) -> dict[str, int]:
    """Return every file of the embedded store with its size, by its path in the data folder."""
    folders = [data_dir / name for name in ("objects", "uploads", "incoming")]
    sizes = {}
    # The store may delete files meanwhile; `os.walk` skips a folder that is gone.
    for inside, _, names in (step for folder in folders for step in os.walk(folder)):
        for path in (Path(inside, name) for name in names):
            with suppress(FileNotFoundError):
                sizes[str(path.relative_to(data_dir))] = path.stat().st_size
    return sizes
