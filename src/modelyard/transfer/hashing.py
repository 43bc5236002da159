"""The SHA-256 of a file, off the event loop, and the cache of known ones."""

import hashlib
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from modelyard.transfer.crew import Crew
from modelyard.transfer.progress import Gauge, Hashed, Report, reporting, unheard
from modelyard.transfer.source import Identity, Source

Result = TypeVar("Result")

_PIECE = 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TABLE = (
    "CREATE TABLE IF NOT EXISTS digests (path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
    " inode INTEGER NOT NULL, sha256 TEXT NOT NULL, noted_at REAL NOT NULL) WITHOUT ROWID"
)
_LARGEST_CACHE = 100_000
# A file written twice within one tick of its file system's clock looks unchanged; FAT ticks every two seconds.
_SETTLED_SECONDS = 2.0


class DigestCache:
    """The SHA-256 of files seen before, in a small SQLite file; several processes may use it at once.

    It only saves time: whatever is wrong with the file, the cache is empty or forgets, and nobody else notices.
    Paths are those of this machine; blocking, for threads.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def known(self, path: Path, identity: Identity) -> str | None:
        """The digest of the file, if it was noted when the file was the same."""

        def look(database: sqlite3.Connection) -> str | None:
            query = "SELECT sha256 FROM digests WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?"
            row = database.execute(query, (_key(path), *identity)).fetchone()
            return row[0] if row is not None and _DIGEST.fullmatch(str(row[0])) else None

        return self._in_transaction(look)

    def note(self, path: Path, identity: Identity, sha256: str) -> None:
        """Remember a digest, unless the file was written so lately that a second write could go unseen."""
        if time.time() - identity.mtime_ns / 1e9 < _SETTLED_SECONDS:
            return

        def write(database: sqlite3.Connection) -> None:
            row = (_key(path), *identity, sha256, time.time())
            database.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)", row)
            database.execute(
                "DELETE FROM digests WHERE path IN (SELECT path FROM digests ORDER BY noted_at DESC LIMIT -1 OFFSET ?)",
                (_LARGEST_CACHE,),
            )

        self._in_transaction(write)

    def _in_transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """The result of ``work``, or nothing if anything is wrong with the database."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=5)) as database, database:
                database.execute(_TABLE)
                return work(database)
        except sqlite3.OperationalError:
            return None  # locked for too long, read-only, no room: do without
        except sqlite3.DatabaseError:
            self._file.unlink(missing_ok=True)  # no database, or a torn one: the next use starts an empty one
            return None
        except OSError:
            return None


def _key(path: Path) -> bytes:
    """Names on disk are bytes, and need not be text."""
    return os.fsencode(path.absolute())


async def sha256_of(path: Path, report: Report = unheard, *, cache: DigestCache | None = None) -> str:
    """The SHA-256 of a file in lower-case hex, read in a thread of its own unless ``cache`` knows it.

    Raises:
        FileChanged: somebody wrote, cut or replaced the file meanwhile.
        DiskFailed: it cannot be read.
    """
    stopped = threading.Event()
    async with Crew(1) as crew:
        source = await crew.run(lambda: Source(path))
        with source:
            gauge = Gauge(lambda done: Hashed(path, done, source.identity.size))
            async with reporting(report, gauge):
                return await crew.run(lambda: _known_or_hashed(source, cache, gauge, stopped), stopped.set)


def _known_or_hashed(source: Source, cache: DigestCache | None, gauge: Gauge, stopped: threading.Event) -> str:
    if cache is not None and (known := cache.known(source.path, source.identity)) is not None:
        gauge.put(source.identity.size)
        return known
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_PIECE))
    while gauge.done < source.identity.size and not stopped.is_set():
        count = source.readinto(buffer[: source.identity.size - gauge.done], gauge.done)
        digest.update(buffer[:count])
        gauge.move(count)
    source.check()
    if cache is not None and not stopped.is_set():
        cache.note(source.path, source.identity, digest.hexdigest())
    return digest.hexdigest()
