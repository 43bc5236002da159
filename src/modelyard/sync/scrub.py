"""Re-read placed and found files at intervals, to detect damage that changes neither size nor modification time.

A file's last read is the time noted in its journal row. The hash of a damaged file is only removed from the index: the
next scan reads it again, and the plan decides what follows.
"""

import stat
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from modelyard.sync.inventory.deadlines import FilesystemNotResponding, StallDeadline
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.safe_open import FileUnreadable, hash_file
from modelyard.sync.inventory.scan import MachineState
from modelyard.transfer.source_file import FileIdentity

_NEVER = datetime.min.replace(tzinfo=UTC)


def find_next_due(placements: Iterable[Placement], now: datetime, interval: timedelta) -> Placement | None:
    """Return the confirmed row, placed or found, whose file was read longest ago, if longer ago than ``interval``.

    None if no file is due. A time in the future counts as never read.
    """

    def read_at(placement: Placement) -> datetime:
        """Return when the file was last read, or the earliest time."""
        return placement.noted_at if placement.noted_at is not None and placement.noted_at <= now else _NEVER

    due = [placement for placement in placements if placement.is_confirmed and now - interval > read_at(placement)]
    return min(due, key=lambda placement: (read_at(placement), placement.path), default=None)


class Scrubber:
    """Re-reads one file at a time, at most ``bytes_a_second``; blocking."""

    def __init__(
        self, machine: MachineState, interval: timedelta, bytes_a_second: float, deadline: StallDeadline
    ) -> None:
        self._machine = machine
        self._interval = interval
        self._rate = bytes_a_second
        self._deadline = deadline

    def scrub_next_file(self, now: datetime, stopped: threading.Event) -> bool | None:
        """Read the next due file, record the read, and return whether its content is unchanged; None if none is due.

        The hash of a changed file is removed from the index. A missing file, or one whose file system does not respond,
        counts as unchanged and as read.

        Raises:
            ReadStopped: ``stopped`` was set.
            StateFileError: see ``StateFile``.
        """
        placement = find_next_due(self._machine.journal.list_placements(), now, self._interval)
        if placement is None:
            return None
        is_unchanged = self._is_unchanged(placement, stopped)
        self._machine.journal.record_read(placement)
        return is_unchanged

    def _is_unchanged(self, placement: Placement, stopped: threading.Event) -> bool:
        """Return whether the file still has its hash; True also if it is missing or its disk does not respond.

        False if it cannot be read for another reason.
        """
        if placement.is_folder:
            # Each is read, also after one that has changed.
            results = [self._is_file_unchanged(each, stopped) for each in self._list_files(placement)]
            return all(results)
        return self._is_file_unchanged(placement, stopped)

    def _list_files(self, placement: Placement) -> list[Placement]:
        """Return the files of a folder model as if each were placed alone."""
        files = self._machine.journal.folder_lists.find(placement.sha256) or ()
        return [
            replace(placement, path=placement.path / file.path, sha256=file.sha256, size=file.size, is_folder=False)
            for file in files
        ]

    def _is_file_unchanged(self, placement: Placement, stopped: threading.Event) -> bool:
        """Return whether one file still has its hash, as ``_is_unchanged``; if not, delete the hash from the index."""
        is_unchanged = self._has_hash(placement, stopped)
        if not is_unchanged:
            self._machine.index.remove_hash(placement.path)
        return is_unchanged

    def _has_hash(self, placement: Placement, stopped: threading.Event) -> bool:
        """Return whether one file still has its hash, as ``_is_unchanged``."""
        try:
            return (
                self._deadline.run(placement.path, lambda on_progress: self._hash_file(placement, on_progress, stopped))
                == placement.sha256
            )
        except (FileNotFoundError, FilesystemNotResponding):
            return True  # left to the next scan, which notices it
        except (FileUnreadable, OSError):
            return False

    def _hash_file(self, placement: Placement, on_progress: Callable[[], None], stopped: threading.Event) -> str:
        """Return the SHA-256 of a placed or found file, read at the limited rate; blocking.

        Raises:
            FileUnreadable: it is not a regular file any more, or see ``hash_file``.
        """
        # A user's file may be a link; a placed file never is one.
        through_links = placement.origin == "found"
        status = placement.path.stat(follow_symlinks=through_links)
        if not stat.S_ISREG(status.st_mode):
            raise FileUnreadable("it is not a regular file any more")
        began, done = time.monotonic(), 0

        def on_chunk(count: int) -> None:
            """Report progress, and wait as the rate requires or until ``stopped`` is set."""
            nonlocal done
            done += count
            on_progress()
            if (delay := done / self._rate - (time.monotonic() - began)) > 0:
                stopped.wait(delay)

        identity = FileIdentity(status.st_size, status.st_mtime_ns, status.st_ino)
        return hash_file(placement.path, identity, on_chunk, stopped, through_links=through_links)
