"""Reading again what has been here for long: a disk that forgets a bit changes neither the size nor the time of a file.

When a file was read last is when its row in the journal was noted. What is not right any more is only forgotten by the
index: the next scan reads it once more, and the plan says what follows.
"""

import stat
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from modelyard.client.sync.holding.holdings import Machine
from modelyard.client.sync.holding.journal import Entry
from modelyard.client.sync.holding.patience import NotAnswering, Patience
from modelyard.client.sync.holding.reading import Unreadable, digest_of
from modelyard.transfer.source import Identity

_NEVER = datetime.min.replace(tzinfo=UTC)


def longest_unread(entries: Iterable[Entry], now: datetime, every: timedelta) -> Entry | None:
    """The file that was not read for longest, if that is longer than ``every``; a time yet to come says nothing."""

    def read_at(entry: Entry) -> datetime:
        return entry.noted_at if entry.noted_at is not None and entry.noted_at <= now else _NEVER

    due = [entry for entry in entries if entry.is_done and now - every > read_at(entry)]
    return min(due, key=lambda entry: (read_at(entry), entry.path), default=None)


class Rereader:
    """Reads one file at a time, at most ``bytes_a_second``; blocking."""

    def __init__(self, machine: Machine, every: timedelta, bytes_a_second: float, patience: Patience) -> None:
        self._machine = machine
        self._every = every
        self._rate = bytes_a_second
        self._patience = patience

    def read_next(self, now: datetime, stopped: threading.Event) -> bool | None:
        """Whether the next file that is due is still what it was; None if none is due.

        Raises:
            Stopped: ``stopped`` was set.
            StateFailed: see ``StateFile``.
        """
        entry = longest_unread(self._machine.journal.entries(), now, self._every)
        if entry is None:
            return None
        is_right = self._is_right(entry, stopped)
        if not is_right:
            self._machine.index.forget(entry.path)
        self._machine.journal.was_read(entry)
        return is_right

    def _is_right(self, entry: Entry, stopped: threading.Event) -> bool:
        try:
            return self._patience.run(entry.path, lambda moved: self._digest(entry, moved, stopped)) == entry.sha256
        except (FileNotFoundError, NotAnswering):
            return True  # every scan sees that
        except (Unreadable, OSError):
            return False

    def _digest(self, entry: Entry, moved: Callable[[], None], stopped: threading.Event) -> str:
        # A user's file may be a link of theirs; what was placed never is one.
        through_links = entry.origin == "found"
        status = entry.path.stat(follow_symlinks=through_links)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("it is no file any more")
        began, done = time.monotonic(), 0

        def piece(count: int) -> None:
            nonlocal done
            done += count
            moved()
            if (early := done / self._rate - (time.monotonic() - began)) > 0:
                stopped.wait(early)

        identity = Identity(status.st_size, status.st_mtime_ns, status.st_ino)
        return digest_of(entry.path, identity, piece, stopped, through_links=through_links)
