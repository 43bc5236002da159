"""Proof that a refused request changed nothing: the database and the data folder, seen from outside."""

import sqlite3
from pathlib import Path

# What the server writes by the clock, whoever calls.
_BY_THE_CLOCK = {"sqlite_sequence"}


class Rows:
    """Every row of the registry's database, read beside the running server."""

    def __init__(self, data_dir: Path) -> None:
        self._connection = sqlite3.connect(f"file:{data_dir / 'modelyard.sqlite3'}?mode=ro", uri=True)

    def version(self) -> int:
        """Another number whenever somebody has committed."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def all(self) -> dict[str, list[str]]:
        """The rows of each table, in a stable order."""
        query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        names = [name for (name,) in self._connection.execute(query) if name not in _BY_THE_CLOCK]
        return {name: sorted(map(repr, self._connection.execute(f'SELECT * FROM "{name}"'))) for name in names}  # noqa: S608 - the names come from the schema

    def close(self) -> None:
        self._connection.close()


def tree(data_dir: Path) -> dict[str, int]:
    """Every file of the store with its size."""
    folders = [data_dir / name for name in ("objects", "uploads", "incoming")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(data_dir)): path.stat().st_size for path in files}
