"""The SHA-256 of files seen before, so that a start with thousands of them reads none again."""

import os
import re
import sqlite3
import threading
import time
from pathlib import Path

from modelyard.client.sync.holding.state import StateFile
from modelyard.transfer.source import Identity

_digest = re.compile(r"[0-9a-f]{64}")
# A file written twice within one tick of its file system's clock looks unchanged; FAT ticks every two seconds.
_SETTLED_SECONDS = 2.0
_BATCH = 200
_BATCH_SECONDS = 5.0


class Index:
    """What is known about files by path, size, time of change and inode; all of it in memory, changes go to the file.

    Blocking; may be used by several threads. It only saves time: what cannot be written is hashed again some day.

    Raises:
        StateFailed: from the constructor, ``forget`` and ``flush``, see ``StateFile``.
    """

    def __init__(self, state: StateFile) -> None:
        self._state = state
        self._lock = threading.Lock()
        # By the text of the path: ten thousand paths take longer to make than to look up.
        self._new: dict[str, tuple[Identity, str]] = {}
        self._flushed_at = time.monotonic()
        with state.transaction() as database:
            rows = database.execute("SELECT path, size, mtime_ns, inode, sha256 FROM digests").fetchall()
        self._known = {
            os.fsdecode(path): (Identity(size, mtime_ns, inode), sha256)
            for path, size, mtime_ns, inode, sha256 in rows
            if _digest.fullmatch(sha256)
        }

    def known(self, path: Path, identity: Identity) -> str | None:
        """The digest of the file, if it was noted when the file was the same."""
        with self._lock:
            noted = self._known.get(str(path))
        return noted[1] if noted is not None and noted[0] == _kept(identity) else None

    def note(self, path: Path, identity: Identity, sha256: str) -> None:
        """Remember a digest, unless the file was written so lately that a second write could go unseen.

        A file whose time was set by hand is settled by that: whoever sets times knows what it wrote.
        """
        if 0 <= time.time() - identity.mtime_ns / 1e9 < _SETTLED_SECONDS:
            return
        with self._lock:
            self._known[str(path)] = self._new[str(path)] = (_kept(identity), sha256)
            is_due = len(self._new) >= _BATCH or time.monotonic() - self._flushed_at > _BATCH_SECONDS
        if is_due:
            self.flush()

    def forget(self, path: Path) -> None:
        """Have a file read by the next scan, though it looks the same."""
        with self._lock:
            self._known.pop(str(path), None)
            self._new.pop(str(path), None)
        with self._state.transaction() as database:
            _delete(database, [str(path)])

    def flush(self) -> None:
        """Write what was noted since the last time."""
        with self._lock:
            new, self._new = self._new, {}
            self._flushed_at = time.monotonic()
        if new:
            with self._state.transaction() as database:
                database.executemany(
                    "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)",
                    [(os.fsencode(path), *identity, sha256) for path, (identity, sha256) in new.items()],
                )

    def keep_only(self, seen: set[Path], roots: list[Path]) -> None:
        """Forget the files below ``roots`` that are not there any more; those of a folder that is away stay."""
        names, folders = {str(path) for path in seen}, tuple(f"{root}/" for root in roots)
        with self._lock:
            gone = [path for path in self._known if path not in names and path.startswith(folders)]
            for path in gone:
                del self._known[path]
                self._new.pop(path, None)
        if gone:
            with self._state.transaction() as database:
                _delete(database, gone)


def _delete(database: sqlite3.Connection, paths: list[str]) -> None:
    database.executemany("DELETE FROM digests WHERE path = ?", [(os.fsencode(path),) for path in paths])


def _kept(identity: Identity) -> Identity:
    """As SQLite holds it: its integers are signed, inodes are not."""
    return Identity(identity.size, identity.mtime_ns, identity.inode & (2**63 - 1))
