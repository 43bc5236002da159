"""The stored objects that this process knows to have failed, also by a verification of another process."""

import logging
import threading
import time
from collections import OrderedDict
from datetime import timedelta

from sqlalchemy import select

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.storage.stat_cache import MAX_ENTRIES
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems

LOOK_SECONDS = 1.0
# Who asks waits so long at most for a slow database; all others do not wait.
LOOK_WAIT_SECONDS = 1.0
# Clocks of servers differ, and a time is written before its transaction is committed.
_OVERLAP = timedelta(minutes=1)
log = logging.getLogger("modelyard.verification")


class KnownFailures:
    """The keys of failed objects, from announcements of this process and from the database. Thread-safe.

    While there are callers, the database is read every ``look_seconds`` at most, in a thread of its own, for what has
    failed since. At most ``MAX_ENTRIES`` keys are kept; while the database does not answer, what was known stays known.
    """

    def __init__(self, database: Database, look_seconds: float = LOOK_SECONDS) -> None:
        self._database, self._look_seconds = database, look_seconds
        self._lock = threading.Lock()
        self._marks: OrderedDict[str, object] = OrderedDict()
        self._since = now()
        self._is_looking, self._next_look = False, 0.0

    def add(self, key: str) -> None:
        """Remember that the object of a key has failed; drop the oldest key above ``MAX_ENTRIES``."""
        with self._lock:
            self._marks[key] = object()
            self._marks.move_to_end(key)
            if len(self._marks) > MAX_ENTRIES:
                self._marks.popitem(last=False)

    def find(self, key: str) -> object | None:
        """Return a mark if the object of a key has failed, as far as is known; read the database if that is due."""
        self._look_if_due()
        with self._lock:
            return self._marks.get(key)

    def remove(self, key: str) -> None:
        """Drop a key whose object was verified again."""
        with self._lock:
            self._marks.pop(key, None)

    def discard(self, key: str, mark: object) -> None:
        """Drop a key whose blob was read as verified after ``mark`` was found, unless it has failed again since."""
        with self._lock:
            if self._marks.get(key) is mark:
                del self._marks[key]

    def _look_if_due(self) -> None:
        """Read new failures in a thread if that is due and no other thread does, and wait for it a moment."""
        with self._lock:
            if self._is_looking or time.monotonic() < self._next_look:
                return
            self._is_looking = True
        thread = threading.Thread(target=self._look, name="failed objects", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            self._end_look()
            return
        thread.join(LOOK_WAIT_SECONDS)

    def _look(self) -> None:
        """Add the objects that have failed since the last look that succeeded.

        A problem with the database is only logged. In any case the next look becomes possible.
        """
        moment = now()
        # With a parameter, so that a database does not prefer the index of a team's failed contents.
        is_failed = BlobRow.verification == "failed", BlobRow.checked_at > self._since - _OVERLAP
        failed = select(BlobRow.store_key).where(*is_failed)
        try:
            with self._database.reading() as session:
                keys = session.scalars(failed.order_by(BlobRow.checked_at.desc()).limit(MAX_ENTRIES)).all()
            for key in reversed(keys):
                self.add(key)
            self._since = moment
        except problems.Problem as problem:
            log.warning("could not read which objects have failed", extra={"why": problem.detail})
        finally:
            self._end_look()

    def _end_look(self) -> None:
        """Allow the next look, at the earliest after ``look_seconds``."""
        with self._lock:
            self._is_looking, self._next_look = False, time.monotonic() + self._look_seconds
