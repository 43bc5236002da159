"""One run of garbage collection: its options, its result, and what its steps share."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from modelyard.server.database.job_run import PAGE, JobRun
from modelyard.server.database.session import Database
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, StoreError, StoreUnavailable

# Longer than any signed URL is valid, so that downloads and registrations that have upload can finish.
GRACE = timedelta(hours=2)
# Versions, and files of folders, that one transaction deletes, at most; more only if one version or model has more.
DELETED_AT_ONCE = 20 * PAGE
# After so many failures of the store in a row the run stops.
_MAX_FAILURES_IN_A_ROW = 3
log = logging.getLogger("modelyard.garbage")


@dataclass
class CollectionResult:
    """What one run removed, or would remove; ``files`` and ``bytes`` count stored objects.

    ``failed_teams`` counts teams whose rows could not be removed: they are left to the next run.
    """

    models: int = 0
    versions: int = 0
    uploads: int = 0
    files: int = 0
    bytes: int = 0
    unknown_files: int = 0
    failures: int = 0
    failed_teams: int = 0
    is_complete: bool = True


@dataclass(frozen=True)
class RunOptions:
    """Options of a run: a dry one only counts, a thorough one goes through all blobs and the whole store."""

    grace: timedelta = GRACE
    is_dry: bool = False
    is_thorough: bool = True


Item = TypeVar("Item")


def split_by_weight(items: Iterable[Item], weigh: Callable[[Item], int], limit: int) -> Iterator[list[Item]]:
    """Yield the items in parts that weigh at most ``limit``; an item that weighs more is a part of its own."""
    part, weight = list[Item](), 0
    for item in items:
        weight += weigh(item)
        if part and weight > limit:
            yield part
            part, weight = [], weigh(item)
        part.append(item)
    if part:
        yield part


class CollectionRun(JobRun):
    """The state that the steps of one run of garbage collection share."""

    ends_run = (*JobRun.ends_run, StoreUnavailable)

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        settings: Settings,
        options: RunOptions,
        may_continue: Callable[[], bool],
    ) -> None:
        super().__init__(database, "garbage collection", may_continue)
        self.store, self.settings, self.options = store, settings, options
        self.collected = CollectionResult()
        self._failures_in_a_row = 0

    @property
    def discarded_before(self) -> datetime:
        """The time before which an object must have been discarded to be removed."""
        return self.moment - self.options.grace

    def call_store(self, call: Callable[[], None], **facts: object) -> bool:
        """Run a call of the store; return False if it failed, so that the run continues with the next object.

        A failure is counted and logged with ``facts``.

        Raises:
            StoreUnavailable: too many calls failed in a row.
        """
        try:
            call()
        except (StoreError, OSError) as error:
            self.collected.failures += 1
            self._failures_in_a_row += 1
            log.warning("an object could not be removed; the next run tries again", extra={**facts, "why": str(error)})
            if self._failures_in_a_row >= _MAX_FAILURES_IN_A_ROW:
                raise StoreUnavailable("The store does not answer. The next run tries again.") from error
            return False
        self._failures_in_a_row = 0
        return True

    def log_result(self) -> None:
        """Log what the run removed, or would remove, if anything, and warn of stored files without a row."""
        if self.collected.unknown_files:
            log.warning("stored files without a row in the database were kept", extra=asdict(self.collected))
        level = logging.DEBUG if self.collected == CollectionResult() else logging.INFO
        log.log(level, "garbage found" if self.options.is_dry else "garbage collected", extra=asdict(self.collected))
