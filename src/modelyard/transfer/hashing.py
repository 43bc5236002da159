"""SHA-256 of files, computed outside the event loop, and a cache of digests."""

import hashlib
import math
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from modelyard.transfer.progress import ByteCounter, Hashed, OnProgress, ignore_progress, report_progress
from modelyard.transfer.source_file import FileIdentity, SourceFile
from modelyard.transfer.thread_pool import ThreadPool

Result = TypeVar("Result")

_CHUNK_SIZE = 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TABLE = (
    "CREATE TABLE IF NOT EXISTS digests (path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
    " inode INTEGER NOT NULL, sha256 TEXT NOT NULL, noted_at REAL NOT NULL) WITHOUT ROWID"
)
# A write takes longer than hashing a small file. What a killed program has to hash again takes less than a second.
_SAVE_EVERY_SECONDS = 1.0
_MAX_UNSAVED_BYTES = 64 * 1024**2
_MAX_CACHE_ENTRIES = 100_000
# Two writes within the resolution of time stamps look like one; that of FAT is two seconds.
_MIN_AGE_SECONDS = 2.0


class DigestCache:
    """A cache of file digests in a small SQLite file that several processes may use at once.

    Only an optimization: if the database is unusable, lookups return None, writes are dropped and nothing is raised; a
    corrupt database is deleted. Blocking; call it in threads. Digests are written once a second, or after 64 MiB of
    files; ``save`` writes the last ones.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._unsaved: dict[bytes, tuple[FileIdentity, str]] = {}
        self._unsaved_bytes, self._saved_at = 0, -math.inf

    def find_digest(self, path: Path, identity: FileIdentity) -> str | None:
        """Return the cached SHA-256 of a file with this ``identity``; None if there is none or no usable database."""
        with self._lock:
            identity_added, digest = self._unsaved.get(_encode_path(path), (None, None))
        if identity_added == identity:
            return digest

        def select(database: sqlite3.Connection) -> str | None:
            query = "SELECT sha256 FROM digests WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?"
            row = database.execute(query, (_encode_path(path), *identity)).fetchone()
            return row[0] if row is not None and _DIGEST.fullmatch(str(row[0])) else None

        return self._in_transaction(select)

    def save_digest(self, path: Path, identity: FileIdentity, sha256: str) -> None:
        """Cache the SHA-256 of a file, unless it was modified less than two seconds ago or in the future.

        A second write could then leave the time stamp unchanged. ``identity`` is from before the file was read.
        """
        if time.time() - identity.mtime_ns / 1e9 < _MIN_AGE_SECONDS:
            return
        with self._lock:
            self._unsaved[_encode_path(path)] = identity, sha256
            self._unsaved_bytes += identity.size
            is_recent = time.monotonic() < self._saved_at + _SAVE_EVERY_SECONDS
            is_due = not is_recent or self._unsaved_bytes >= _MAX_UNSAVED_BYTES
        if is_due:
            self.save()

    def save(self) -> None:
        """Write the digests that are not written yet. Beyond 100,000 entries, the oldest are deleted."""
        with self._lock:
            unsaved, self._unsaved, self._unsaved_bytes = self._unsaved, {}, 0
            self._saved_at = time.monotonic()
        if not unsaved:
            return

        def insert(database: sqlite3.Connection) -> None:
            rows = [(path, *identity, sha256, time.time()) for path, (identity, sha256) in unsaved.items()]
            database.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)", rows)
            database.execute(
                "DELETE FROM digests WHERE path IN (SELECT path FROM digests ORDER BY noted_at DESC LIMIT -1 OFFSET ?)",
                (_MAX_CACHE_ENTRIES,),
            )

        self._in_transaction(insert)

    def _in_transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """Run ``work`` in a transaction and return its result; None if the database cannot be used.

        Creates the folder, the file and the table where they are missing. A corrupt database is deleted.
        """
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=5)) as database, database:
                database.execute(_TABLE)
                return work(database)
        except sqlite3.OperationalError:
            return None  # locked for too long, read-only, disk full: continue without the cache
        except sqlite3.DatabaseError:
            self._file.unlink(missing_ok=True)  # corrupt: the next use creates an empty one
            return None
        except OSError:
            return None


def _encode_path(path: Path) -> bytes:
    """Encode the absolute path as bytes, since file names need not be valid text."""
    return os.fsencode(path.absolute())


async def compute_sha256(
    path: Path, on_progress: OnProgress = ignore_progress, *, cache: DigestCache | None = None
) -> str:
    """Return the SHA-256 of a file in lower-case hex, from ``cache`` or by reading the file in a new thread.

    A computed digest is added to ``cache``. Cancelling stops the reading.

    Raises:
        FileChanged: the file was modified, truncated or replaced meanwhile.
        DiskFailed: it cannot be read.
    """
    stopped = threading.Event()
    async with ThreadPool(1) as pool:
        source = await pool.run(lambda: SourceFile(path))
        with source:
            counter = ByteCounter(lambda done: Hashed(path, done, source.identity.size))
            async with report_progress(on_progress, counter):
                return await pool.run(lambda: _find_or_compute_digest(source, cache, counter, stopped), stopped.set)


def _find_or_compute_digest(
    source: SourceFile, cache: DigestCache | None, counter: ByteCounter, stopped: threading.Event
) -> str:
    """Return the cached digest of a file, or else read, hash and cache it; blocking.

    Once ``stopped`` is set, returns early with an unusable digest, which is not cached.

    Raises:
        FileChanged: the file changed while it was read.
        DiskFailed: it cannot be read.
    """
    if cache is not None and (known := cache.find_digest(source.path, source.identity)) is not None:
        counter.set_done(source.identity.size)
        return known
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK_SIZE))
    while counter.done < source.identity.size and not stopped.is_set():
        count = source.readinto(buffer[: source.identity.size - counter.done], counter.done)
        digest.update(buffer[:count])
        counter.add(count)
    source.ensure_unchanged()
    if cache is not None and not stopped.is_set():
        cache.save_digest(source.path, source.identity, digest.hexdigest())
    return digest.hexdigest()
