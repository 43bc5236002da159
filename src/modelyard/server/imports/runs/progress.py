"""The progress of a run, which extends its lease, and whether the run goes on."""

import threading
import time
from dataclasses import replace
from datetime import timedelta

from modelyard.server.database.session import Database
from modelyard.server.imports.downloads.download import Progress
from modelyard.server.imports.downloads.unfinished_parts import UnfinishedPart, UnfinishedParts
from modelyard.server.imports.import_leases import LeasedImport, renew_import
from modelyard.server.leases import Interruption

PROGRESS_SECONDS = 1.0


class ProgressReporter:
    """Records the progress of a download at most once a second, and says whether it goes on."""

    def __init__(
        self,
        database: Database,
        leased: LeasedImport,
        life: timedelta,
        interruption: Interruption,
        stopping: threading.Event,
        unfinished: UnfinishedParts,
    ) -> None:
        self._database, self._leased, self._life = database, leased, life
        self._interruption, self._stopping = interruption, stopping
        self.unfinished = unfinished
        self._next_at = 0.0
        self._first: int | None = None
        self._last: Progress | None = None
        self.has_continued = False

    def report(self, progress: Progress) -> bool:
        """Record progress if it is due; return False if the import was cancelled, or the process stops."""
        reached = progress.bytes_done + progress.bytes_kept
        if self._first is None:
            self._first = reached
        self._last = progress
        # A run from the start repeats what earlier ones did: it may end at the same byte each time.
        self.has_continued = self.has_continued or reached > self._first > 0
        if self.is_interrupted():
            return False
        return True if time.monotonic() < self._next_at else self.flush()

    def keep_unfinished(self, multipart_id: str, part: UnfinishedPart) -> None:
        """Keep the bytes of a part that could not be completed, and count them as progress.

        Does nothing unless all bytes before it are reported, so that they are stored.
        """
        last = self._last
        if last is not None and last.bytes_done == part.start:
            self.report(replace(last, bytes_kept=self.unfinished.keep(multipart_id, part, last.etag)))

    def is_interrupted(self) -> bool:
        """Return whether the import was cancelled, another worker has it, or the process stops."""
        return self._stopping.is_set() or self._interruption.is_set()

    def flush(self) -> bool:
        """Extend the lease, and record the last progress, from which a later run continues.

        Returns False if the lease is lost, or the process stops. Called by the download's thread and by another one.
        """
        if self._stopping.is_set():
            return False
        self._next_at = time.monotonic() + PROGRESS_SECONDS
        last = self._last
        if last is None:
            return renew_import(self._database, self._leased, self._life)
        values = {"bytes_done": last.bytes_done, "etag": last.etag, "relies_on_etag": last.relies_on_etag}
        return renew_import(self._database, self._leased, self._life, **values)
