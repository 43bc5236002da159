"""The journal of files that this agent placed, recently removed, or found already in place.

A file is the agent's own if a row here says so *and* its content still has the row's hash. A row is written before a
file gets its name and confirmed afterwards, so that a kill in between leaves no file, or one that is known:

    record_intent(path, hash, inode)    the temporary file is complete and synced; its inode is what will be renamed
    rename
    confirm(path, hash)                 rows about older content at this path are deleted

A removal without approval is recorded before the file is removed, so that a kill in between leaves a file that is
still there, or one that counts as removed.
"""

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

from modelyard.sync.inventory.folder_lists import FolderLists
from modelyard.sync.inventory.state_db import StateFile

Origin = Literal["placed", "found"]

# How long a removal counts towards the removal limit, see ``removal_limit.py``.
RECENT_REMOVAL_PERIOD = timedelta(hours=1)

_MAX_INTEGER = 2**63 - 1
_COLUMNS = "path, sha256, size, model_id, origin, is_done, device, inode, noted_at, is_folder, replaced_inode"


@dataclass(frozen=True)
class Placement:
    """One row of the journal: a file that the agent placed, or a user's file that was found in place.

    A row with origin ``found`` never makes a file the agent's own, so that it is not removed or replaced. ``path`` is
    absolute, with the links above and at the root resolved (``Target.path``). Of a preview, ``model_id`` is the id of
    the picture, see ``sync.previews.planner.get_picture_id``.
    """

    path: Path
    sha256: str
    size: int
    model_id: UUID
    origin: Origin
    is_confirmed: bool = True
    device: int = 0  # distinguishes an unmounted disk from one that was emptied
    inode: int = 0  # of the file about to be renamed; used only while the row is unconfirmed, and for folders
    noted_at: datetime | None = None  # when it was recorded or last read; set by the journal
    is_folder: bool = False  # a folder model: one row for all of its files, which ``FolderLists`` has
    replaced_inode: int = 0  # of a damaged folder that is about to be replaced by one with the same files

    def find_own_inode(self, inode: int) -> int | None:
        """Return the inode of a folder as the journal stores it, if this row is about that folder; else None.

        An unconfirmed row is about both folders, since one of them has the name.
        """
        stored = to_stored_inode(inode)
        possible = {self.inode} if self.is_confirmed else {self.inode, self.replaced_inode}
        return stored if stored in possible else None


def to_stored_inode(inode: int) -> int:
    """Return an inode as the journal stores it: SQLite's integers are signed."""
    return inode & _MAX_INTEGER


class PlacementJournal:
    """The rows in the state file; blocking, durable when a method returns.

    Raises:
        StateFileError: from every method, see ``StateFile``.
    """

    def __init__(self, state: StateFile, table: Literal["placements", "previews"] = "placements") -> None:
        self._state = state
        self._table = table
        self.folder_lists = FolderLists(state)

    def for_previews(self) -> "PlacementJournal":
        """Return the journal of the pictures beside models, in the same state file."""
        return PlacementJournal(self._state, "previews")

    def list_placements(self) -> list[Placement]:
        """Return all rows by path; a path has more than one while its content is being replaced."""
        return self._select_placements("")

    def list_unconfirmed(self) -> list[Placement]:
        """Return the rows of files that were about to be placed and have not been confirmed."""
        return self._select_placements("WHERE NOT is_done")

    def record_intent(self, placement: Placement) -> None:
        """Write a row, with ``is_confirmed`` false, for what is about to be placed.

        Earlier rows of the path stay, since their content may still be there.
        """
        with self._state.transaction() as database:
            self._write_placement(database, placement)

    def confirm(self, placement: Placement) -> None:
        """Write a row, with ``is_confirmed`` true, for what is at the path now, and delete its other rows."""
        self.confirm_all([placement])

    def confirm_all(self, placements: Iterable[Placement]) -> None:
        """Write several confirmed rows in one transaction; see ``confirm``.

        Rows of other content at their paths are deleted.
        """
        with self._state.transaction() as database:
            for placement in placements:
                database.execute(
                    f"DELETE FROM {self._table} WHERE path = ? AND sha256 <> ?",  # noqa: S608 - one of two names
                    (os.fsencode(placement.path), placement.sha256),
                )
                self._write_placement(database, placement)

    def record_read(self, placement: Placement) -> None:
        """Set the row's ``noted_at`` to now, since its file was read; nothing if the row has been deleted meanwhile."""
        with self._state.transaction() as database:
            database.execute(
                f"UPDATE {self._table} SET noted_at = ? WHERE path = ? AND sha256 = ?",  # noqa: S608 - one of two names
                (datetime.now(UTC).timestamp(), os.fsencode(placement.path), placement.sha256),
            )

    def delete_placements(self, placements: Iterable[Placement]) -> None:
        """Delete the rows with these paths and hashes; their files are not touched. Idempotent."""
        with self._state.transaction() as database:
            database.executemany(
                f"DELETE FROM {self._table} WHERE path = ? AND sha256 = ?",  # noqa: S608 - one of two names
                [(os.fsencode(placement.path), placement.sha256) for placement in placements],
            )

    def record_removals(self, paths: Iterable[Path]) -> None:
        """Record files about to be removed without approval; records older than an hour are deleted."""
        now = datetime.now(UTC)
        with self._state.transaction() as database:
            database.execute("DELETE FROM removals WHERE removed_at <= ?", ((now - RECENT_REMOVAL_PERIOD).timestamp(),))
            database.executemany(
                "INSERT OR REPLACE INTO removals (path, removed_at) VALUES (?, ?)",
                [(os.fsencode(path), now.timestamp()) for path in paths],
            )

    def list_recent_removals(self) -> frozenset[Path]:
        """Return the paths removed, or about to be removed, without approval within the last hour.

        A time in the future stems from a wrong clock; it is set to now.
        """
        now = datetime.now(UTC)
        with self._state.transaction() as database:
            database.execute("UPDATE removals SET removed_at = :now WHERE removed_at > :now", {"now": now.timestamp()})
            rows = database.execute(
                "SELECT path FROM removals WHERE removed_at > ?", ((now - RECENT_REMOVAL_PERIOD).timestamp(),)
            )
            return frozenset(Path(os.fsdecode(path)) for (path,) in rows)

    def reset_removal_count(self) -> None:
        """Delete all recorded removals, because a user approved some. Writes nothing if there are none."""
        with self._state.transaction() as database:
            # A DELETE of no rows causes a disk write too, and each of hundreds of approved removals calls this.
            if database.execute("SELECT EXISTS (SELECT 1 FROM removals)").fetchone()[0]:
                database.execute("DELETE FROM removals")

    def _select_placements(self, condition: str) -> list[Placement]:
        """Return the rows that match an SQL condition, by path and hash."""
        with self._state.transaction() as database:
            query = f"SELECT {_COLUMNS} FROM {self._table} {condition} ORDER BY path, sha256"  # noqa: S608 - constants
            rows = database.execute(query).fetchall()
        return [_parse_row(row) for row in rows]

    def _write_placement(self, database: sqlite3.Connection, placement: Placement) -> None:
        """Insert a row, or replace the row with the same path and hash; its time is now."""
        database.execute(
            f"INSERT OR REPLACE INTO {self._table} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
            (
                os.fsencode(placement.path),
                placement.sha256,
                placement.size,
                str(placement.model_id),
                placement.origin,
                placement.is_confirmed,
                # SQLite's integers are signed, these are not.
                placement.device & _MAX_INTEGER,
                placement.inode & _MAX_INTEGER,
                datetime.now(UTC).timestamp(),
                placement.is_folder,
                placement.replaced_inode & _MAX_INTEGER,
            ),
        )


def _parse_row(row: tuple[bytes, str, int, str, Origin, int, int, int, float, int, int]) -> Placement:
    """Convert a database row to a placement."""
    path, sha256, size, model_id, origin, is_done, device, inode, noted_at, is_folder, replaced_inode = row
    return Placement(
        Path(os.fsdecode(path)),
        sha256,
        size,
        UUID(model_id),
        origin,
        bool(is_done),
        device,
        inode,
        datetime.fromtimestamp(noted_at, UTC),
        bool(is_folder),
        replaced_inode,
    )
