"""The SQLite file in which a machine remembers hashes, what it placed and what it removed; one for each agent id.

    <state dir>/sync/<agent id>.sqlite

It lies outside the models folders: a shared folder may be taken away or be written by others, this file is one
agent's own word.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_DIGESTS = """
CREATE TABLE digests (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    sha256 TEXT NOT NULL
) WITHOUT ROWID
"""
_PLACEMENTS = """
CREATE TABLE placements (
    path BLOB NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, model_id TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('placed', 'found')), is_done INTEGER NOT NULL CHECK (is_done IN (0, 1)),
    device INTEGER NOT NULL, inode INTEGER NOT NULL, noted_at REAL NOT NULL,
    PRIMARY KEY (path, sha256)
) WITHOUT ROWID
"""
_REMOVALS = "CREATE TABLE removals (path BLOB PRIMARY KEY, removed_at REAL NOT NULL) WITHOUT ROWID"
# What each version added; a file of an earlier one gets the rest, and keeps its rows.
_STEPS = ((_DIGESTS, _PLACEMENTS), (_REMOVALS,))
_VERSION = len(_STEPS)


class StateFailed(OSError):
    """The state file cannot be used: nothing may be placed that could not be remembered."""


class StateFile:
    """An open state file. Blocking; may be used by several threads, which take turns.

    A file that is damaged is set aside under another name and a new one begun, since files that nobody remembers
    placing are never removed: ``lost`` then says so in words.

    Raises:
        StateFailed: from every method: the folder cannot be written, the disk is full, a later version made the file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lost: str | None = None
        self._lock = threading.Lock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as failure:
            raise StateFailed(f'The folder "{file.parent}" cannot be made: {failure.strerror}.') from failure
        self._connection = self._opened()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """May be called twice."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """What is written in the block is on the disk when it ends, or nothing of it is."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    # After some failures SQLite has rolled back by itself.
                    with suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as failure:
                raise StateFailed(f'The state file "{self.file}" cannot be used: {failure}.') from failure

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.OperationalError as failure:
            raise StateFailed(f'The state file "{self.file}" cannot be opened: {failure}.') from failure
        except sqlite3.DatabaseError as failure:
            self._set_aside(failure)
        try:
            return self._connected()
        except sqlite3.Error as failure:
            raise StateFailed(f'The state file "{self.file}" cannot be opened: {failure}.') from failure

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # A placement that a power cut takes back would leave a file that nobody remembers.
            connection.execute("PRAGMA synchronous = FULL")
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("its pages are damaged")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = _version_of(connection)
        if version > _VERSION:
            raise StateFailed(f'A later version of modelyard wrote "{self.file}". Use that version.')
        if version == _VERSION:
            return
        # Whoever closes the connection before the end takes all of it back.
        connection.execute("BEGIN IMMEDIATE")
        for statements in _STEPS[_version_of(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")

    def _set_aside(self, failure: sqlite3.Error) -> None:
        aside = self.file.with_suffix(".broken.sqlite")
        self.file.replace(aside)
        for tail in ("-wal", "-shm"):
            self.file.with_name(self.file.name + tail).unlink(missing_ok=True)
        self.lost = (
            f'The state file was damaged ({failure}) and now lies at "{aside}". What was placed before is taken for'
            " the user's own: it is used, and never removed."
        )


def _version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
