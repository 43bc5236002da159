"""An index of the SHA-256 of files, so that unchanged files are not read again after a restart."""

import os
import re
import sqlite3
import threading
import time
from pathlib import Path

from modelyard.sync.inventory.state_db import StateFile
from modelyard.transfer.source_file import FileIdentity

_digest = re.compile(r"[0-9a-f]{64}")
# A second write within one clock tick of the file system is not noticed; FAT has ticks of two seconds.
_CLOCK_TICK_SECONDS = 2.0
_BATCH_SIZE = 200
_BATCH_SECONDS = 5.0


class HashIndex:
    """File hashes by path, size, modification time and inode; held in memory, changes are written to the state file.

    Blocking and thread-safe. It only saves time: a hash that could not be written is computed again later.

    Raises:
        StateFileError: from every method except ``get_hash``, see ``StateFile``.
    """

    def __init__(self, state: StateFile) -> None:
        self._state = state
        self._lock = threading.Lock()
        # Keyed by string: building ten thousand Path objects takes longer than looking them up.
        self._unwritten: dict[str, tuple[FileIdentity, str]] = {}
        self._flushed_at = time.monotonic()
        with state.transaction() as database:
            rows = database.execute("SELECT path, size, mtime_ns, inode, sha256 FROM digests").fetchall()
        self._hashes = {
            os.fsdecode(path): (FileIdentity(size, mtime_ns, inode), sha256)
            for path, size, mtime_ns, inode, sha256 in rows
            if _digest.fullmatch(sha256)
        }

    def get_hash(self, path: Path, identity: FileIdentity) -> str | None:
        """Return the SHA-256 of the file if it was recorded for this identity, else None."""
        with self._lock:
            entry = self._hashes.get(str(path))
        return entry[1] if entry is not None and entry[0] == _to_sqlite_identity(identity) else None

    def add_hash(self, path: Path, identity: FileIdentity, sha256: str) -> None:
        """Record the SHA-256 of a file; ignored if the file was modified less than two seconds ago.

        A second write within the clock tick of the file system could not be noticed. A modification time in the future
        or set by hand is accepted. ``identity`` is from before the file was read. Written to the state file in batches
        of 200, or after five seconds, by the next call; see ``flush``.
        """
        if 0 <= time.time() - identity.mtime_ns / 1e9 < _CLOCK_TICK_SECONDS:
            return
        with self._lock:
            self._hashes[str(path)] = self._unwritten[str(path)] = (_to_sqlite_identity(identity), sha256)
            is_due = len(self._unwritten) >= _BATCH_SIZE or time.monotonic() - self._flushed_at > _BATCH_SECONDS
        if is_due:
            self.flush()

    def remove_hash(self, path: Path) -> None:
        """Delete the recorded hash, in the state file too, so that the next scan reads the file if it hashes it."""
        with self._lock:
            self._hashes.pop(str(path), None)
            self._unwritten.pop(str(path), None)
        with self._state.transaction() as database:
            _delete_rows(database, [str(path)])

    def flush(self) -> None:
        """Write the hashes added since the last flush to the state file."""
        with self._lock:
            unwritten, self._unwritten = self._unwritten, {}
            self._flushed_at = time.monotonic()
        if unwritten:
            with self._state.transaction() as database:
                database.executemany(
                    "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)",
                    [(os.fsencode(path), *identity, sha256) for path, (identity, sha256) in unwritten.items()],
                )

    def prune(self, seen: set[Path], roots: list[Path]) -> None:
        """Delete the hashes of files below ``roots`` that do not exist any more.

        Files of other roots stay: their disk may only be unmounted. Files in ``seen`` exist; others are looked up.
        """
        names, folders = {str(path) for path in seen}, tuple(f"{root}/" for root in roots)
        with self._lock:
            unseen = [path for path in self._hashes if path not in names and path.startswith(folders)]
            # A file placed during the scan may not have been seen.
            missing = [path for path in unseen if not os.path.lexists(path)]
            for path in missing:
                del self._hashes[path]
                self._unwritten.pop(path, None)
        if missing:
            with self._state.transaction() as database:
                _delete_rows(database, missing)


def _delete_rows(database: sqlite3.Connection, paths: list[str]) -> None:
    """Delete the rows of these paths."""
    database.executemany("DELETE FROM digests WHERE path = ?", [(os.fsencode(path),) for path in paths])


def _to_sqlite_identity(identity: FileIdentity) -> FileIdentity:
    """Return the identity as SQLite stores it: its integers are signed, inodes are not."""
    return FileIdentity(identity.size, identity.mtime_ns, identity.inode & (2**63 - 1))
