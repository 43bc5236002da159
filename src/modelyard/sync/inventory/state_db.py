"""The SQLite file with a machine's file hashes, placements, previews, folders' lists and removals; one per agent id.

    <state dir>/sync/<agent id>.sqlite

It lies outside the models folders: a shared folder may be unmounted or written by others, this file is only written by
one agent.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from modelyard.client.atomic_file import create_folder_durably
from modelyard.transfer.portable.files import fsync_folder

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
# Of the pictures beside models: a table of its own, so that no plan takes them for models.
_PREVIEWS = _PLACEMENTS.replace("TABLE placements", "TABLE previews")
# Of folder models: the list of their files by the hash of the canonical manifest, see ``folder_lists``.
_FOLDER_LISTS = "CREATE TABLE folder_lists (sha256 TEXT PRIMARY KEY, manifest BLOB NOT NULL)"
_FOLDER_COLUMNS = tuple(
    f"ALTER TABLE {table} ADD COLUMN {column}"
    for table in ("placements", "previews")
    for column in (
        "is_folder INTEGER NOT NULL DEFAULT 0 CHECK (is_folder IN (0, 1))",
        "replaced_inode INTEGER NOT NULL DEFAULT 0",
    )
)
# The statements that each schema version added; a file of an earlier version keeps its rows.
_MIGRATIONS = ((_DIGESTS, _PLACEMENTS), (_REMOVALS,), (_PREVIEWS,), (_FOLDER_LISTS, *_FOLDER_COLUMNS))
_VERSION = len(_MIGRATIONS)


class StateFileError(OSError):
    """The state file cannot be used; nothing may be placed that could not be recorded."""


class StateFile:
    """An open state file. Blocking and thread-safe; transactions are serialized.

    A damaged file is renamed and a new one created; this is safe, since files without a row are never removed.
    ``damage_notice`` then describes it for the user.

    Raises:
        StateFileError: from the constructor and ``transaction``: the folder cannot be written, the disk is full, or a
            later version wrote it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.damage_notice: str | None = None
        self._lock = threading.Lock()
        try:
            create_folder_durably(file.parent)
        except OSError as failure:
            raise StateFileError(
                f'The folder "{file.parent}" cannot be created: {failure.strerror}. Check its disk and its permissions.'
            ) from failure
        self._connection = self._open()
        try:
            # SQLite makes rows durable, but not the name of the file.
            fsync_folder(file.parent)
        except OSError as failure:
            self.close()
            raise StateFileError(f'The folder "{file.parent}" cannot be synced: {failure.strerror}.') from failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block in a transaction that is durable when it ends, or rolled back if it raises.

        Waits for other threads; cannot be nested. An ``sqlite3.Error`` of the block becomes a ``StateFileError``.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    # After some errors SQLite has already rolled back.
                    with suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as failure:
                raise StateFileError(f'The state file "{self.file}" cannot be used: {failure}.') from failure

    def _open(self) -> sqlite3.Connection:
        """Open the file; a damaged one is renamed and a new one created."""
        try:
            return self._connect()
        except sqlite3.OperationalError as failure:
            raise StateFileError(f'The state file "{self.file}" cannot be opened: {failure}.') from failure
        except sqlite3.DatabaseError as failure:
            self._rename_damaged_file(failure)
        try:
            return self._connect()
        except sqlite3.Error as failure:
            raise StateFileError(f'The state file "{self.file}" cannot be opened: {failure}.') from failure

    def _connect(self) -> sqlite3.Connection:
        """Open or create the file, check and migrate it; raise sqlite3.DatabaseError if it is damaged."""
        connection = sqlite3.connect(self.file, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # If a power failure lost a row, its file would never be removed.
            connection.execute("PRAGMA synchronous = FULL")
            if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("its pages are damaged")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Bring the schema to this version in one transaction; raise StateFileError if a later version wrote it."""
        version = _get_version(connection)
        if version > _VERSION:
            raise StateFileError(f'A later version of modelyard wrote "{self.file}". Use that version.')
        if version == _VERSION:
            return
        # Closing the connection before the commit rolls back everything.
        connection.execute("BEGIN IMMEDIATE")
        for statements in _MIGRATIONS[_get_version(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")

    def _rename_damaged_file(self, failure: sqlite3.Error) -> None:
        """Rename the file to ``*.broken.sqlite``, replacing an earlier one, and set ``damage_notice``."""
        new_path = self.file.with_suffix(".broken.sqlite")
        self.file.replace(new_path)
        for suffix in ("-wal", "-shm"):
            self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)
        self.damage_notice = (
            f'The state file was damaged ({failure}) and has been renamed to "{new_path}". Files placed before that'
            " now count as the user's own: they are used, and never removed."
        )


def _get_version(connection: sqlite3.Connection) -> int:
    """Return the schema version of the file; 0 if it is new."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
