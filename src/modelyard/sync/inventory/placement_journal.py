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

from modelyard.sync.inventory.state_db import StateFile

Origin = Literal["placed", "found"]

# How long a removal counts towards the removal limit, see ``removal_limit.py``.
RECENT_REMOVAL_PERIOD = timedelta(hours=1)

_MAX_INTEGER = 2**63 - 1
_SELECT = (
    "SELECT path, sha256, size, model_id, origin, is_done, device, inode, noted_at FROM placements {}"
    " ORDER BY path, sha256"
)
_INSERT = (
    "INSERT OR REPLACE INTO placements (path, sha256, size, model_id, origin, is_done, device, inode, noted_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True)
class Placement:
    """One row of the journal: a file that the agent placed, or a user's file that was found in place.

    A row with origin ``found`` never makes a file the agent's own, so that it is not removed or replaced. ``path`` is
    absolute, with the links above and at the root resolved (``Target.path``).
    """

    path: Path
    sha256: str
    size: int
    model_id: UUID
    origin: Origin
    is_confirmed: bool = True
    device: int = 0  # distinguishes an unmounted disk from one that was emptied
    inode: int = 0  # of the file about to be renamed; used only while the row is unconfirmed
    noted_at: datetime | None = None  # when it was recorded or last read; set by the journal


class PlacementJournal:
    """The rows in the state file; blocking, durable when a method returns.

    Raises:
        StateFileError: from every method, see ``StateFile``.
    """

    def __init__(self, state: StateFile) -> None:
        self._state = state

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
            _write_placement(database, placement)

    def confirm(self, placement: Placement) -> None:
        """Write a row, with ``is_confirmed`` true, for what is at the path now, and delete its other rows."""
        self.confirm_all([placement])

    def confirm_all(self, placements: Iterable[Placement]) -> None:
        """Confirm several placements in one transaction, see ``confirm``."""
        with self._state.transaction() as database:
            for placement in placements:
                database.execute(
                    "DELETE FROM placements WHERE path = ? AND sha256 <> ?",
                    (os.fsencode(placement.path), placement.sha256),
                )
                _write_placement(database, placement)

    def record_read(self, placement: Placement) -> None:
        """Set the row's ``noted_at`` to now, since its file was read; nothing if the row has been deleted meanwhile."""
        with self._state.transaction() as database:
            database.execute(
                "UPDATE placements SET noted_at = ? WHERE path = ? AND sha256 = ?",
                (datetime.now(UTC).timestamp(), os.fsencode(placement.path), placement.sha256),
            )

    def delete_placements(self, placements: Iterable[Placement]) -> None:
        """Delete the rows with these paths and hashes; their files are not touched. Idempotent."""
        with self._state.transaction() as database:
            database.executemany(
                "DELETE FROM placements WHERE path = ? AND sha256 = ?",
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
            rows = database.execute(_SELECT.format(condition)).fetchall()
        return [_parse_row(row) for row in rows]


def _write_placement(database: sqlite3.Connection, placement: Placement) -> None:
    """Insert a row, or replace the row with the same path and hash; its time is now."""
    database.execute(
        _INSERT,
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
        ),
    )


def _parse_row(row: tuple[bytes, str, int, str, Origin, int, int, int, float]) -> Placement:
    """Convert a database row to a placement."""
    path, sha256, size, model_id, origin, is_done, device, inode, noted_at = row
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
    )
