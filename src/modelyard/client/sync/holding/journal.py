"""What this agent placed, what it removed lately, and which of the user's files it found in the right place.

A file is the agent's own if a row here says so *and* its bytes still have the row's hash. A row is written before a
file gets its name and confirmed afterwards, so that a kill in between leaves no file, or one that is known:

    intend(path, hash, inode)     the temporary file is whole and synced; its inode is what will be renamed
    rename
    confirm(path, hash)           rows about older bytes at this path go

A removal that nobody approved is noted before it is made, so that a kill in between leaves a file that is still there,
or one that counts as removed.
"""

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

from modelyard.client.sync.holding.state import StateFile

Origin = Literal["placed", "found"]

# How long a removal counts as one of many, see ``brake.py``.
LATELY = timedelta(hours=1)

_SIGNED = 2**63 - 1
_SELECT = (
    "SELECT path, sha256, size, model_id, origin, is_done, device, inode, noted_at FROM placements {}"
    " ORDER BY path, sha256"
)
_INSERT = (
    "INSERT OR REPLACE INTO placements (path, sha256, size, model_id, origin, is_done, device, inode, noted_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True)
class Entry:
    """One row. ``path`` is absolute, with the links above and at the root resolved (``Target.path``)."""

    path: Path
    sha256: str
    size: int
    model_id: UUID
    origin: Origin
    is_done: bool = True
    device: int = 0  # the file system; tells a disk that is not mounted from one that was emptied
    inode: int = 0  # of the file that was about to be renamed; asked for only while the row is not done
    noted_at: datetime | None = None  # when it was noted or read last; set by the journal


class Journal:
    """The rows; blocking, durable when a method returns.

    Raises:
        StateFailed: from every method, see ``StateFile``.
    """

    def __init__(self, state: StateFile) -> None:
        self._state = state

    def entries(self) -> list[Entry]:
        """All rows, by path; a path has more than one while its bytes are being replaced."""
        return self._read("")

    def unsettled(self) -> list[Entry]:
        """Those of what was about to be placed, and of which nobody has said that it was."""
        return self._read("WHERE NOT is_done")

    def intend(self, entry: Entry) -> None:
        """Say what is about to be placed; earlier rows of the path stay, since their bytes may still be there."""
        with self._state.transaction() as database:
            _write(database, entry)

    def confirm(self, entry: Entry) -> None:
        """Say what is at the path now: the only row of the path from here on."""
        self.confirm_all([entry])

    def confirm_all(self, entries: Iterable[Entry]) -> None:
        """The same for many, at once or not at all."""
        with self._state.transaction() as database:
            for entry in entries:
                database.execute(
                    "DELETE FROM placements WHERE path = ? AND sha256 <> ?", (os.fsencode(entry.path), entry.sha256)
                )
                _write(database, entry)

    def was_read(self, entry: Entry) -> None:
        """Note that the file was read just now; a row that is not there any more stays away."""
        with self._state.transaction() as database:
            database.execute(
                "UPDATE placements SET noted_at = ? WHERE path = ? AND sha256 = ?",
                (datetime.now(UTC).timestamp(), os.fsencode(entry.path), entry.sha256),
            )

    def forget(self, entries: Iterable[Entry]) -> None:
        """Drop rows: nothing at their paths is the agent's own any more. May be called twice."""
        with self._state.transaction() as database:
            database.executemany(
                "DELETE FROM placements WHERE path = ? AND sha256 = ?",
                [(os.fsencode(entry.path), entry.sha256) for entry in entries],
            )

    def will_remove(self, paths: Iterable[Path]) -> None:
        """Say what is about to be removed although nobody approved it; what was removed long ago is dropped."""
        now = datetime.now(UTC)
        with self._state.transaction() as database:
            database.execute("DELETE FROM removals WHERE removed_at <= ?", ((now - LATELY).timestamp(),))
            database.executemany(
                "INSERT OR REPLACE INTO removals (path, removed_at) VALUES (?, ?)",
                [(os.fsencode(path), now.timestamp()) for path in paths],
            )

    def removed_lately(self) -> frozenset[Path]:
        """What was removed within the last hour, or was about to be, without anybody's approval.

        A time in the future is one of a clock that was wrong; it counts from now on.
        """
        now = datetime.now(UTC)
        with self._state.transaction() as database:
            database.execute("UPDATE removals SET removed_at = :now WHERE removed_at > :now", {"now": now.timestamp()})
            rows = database.execute("SELECT path FROM removals WHERE removed_at > ?", ((now - LATELY).timestamp(),))
            return frozenset(Path(os.fsdecode(path)) for (path,) in rows)

    def forget_removals(self) -> None:
        """Begin anew: somebody has looked, and approved."""
        with self._state.transaction() as database:
            database.execute("DELETE FROM removals")

    def _read(self, which: str) -> list[Entry]:
        with self._state.transaction() as database:
            rows = database.execute(_SELECT.format(which)).fetchall()
        return [_entry(row) for row in rows]


def _write(database: sqlite3.Connection, entry: Entry) -> None:
    database.execute(
        _INSERT,
        (
            os.fsencode(entry.path),
            entry.sha256,
            entry.size,
            str(entry.model_id),
            entry.origin,
            entry.is_done,
            # SQLite's integers are signed, these are not.
            entry.device & _SIGNED,
            entry.inode & _SIGNED,
            datetime.now(UTC).timestamp(),
        ),
    )


def _entry(row: tuple[bytes, str, int, str, Origin, int, int, int, float]) -> Entry:
    path, sha256, size, model_id, origin, is_done, device, inode, noted_at = row
    return Entry(
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
