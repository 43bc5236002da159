"""One run of garbage collection: its options, its result, and what its steps share."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Row, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, StoreError, StoreUnavailable

# Longer than any signed URL is valid, so that downloads and registrations that have upload can finish.
GRACE = timedelta(hours=2)
# Rows in one transaction, at most.
PAGE = 500
# After so many failures of the store in a row the run stops.
_MAX_FAILURES_IN_A_ROW = 3
log = logging.getLogger("modelyard.garbage")


@dataclass
class CollectionResult:
    """What one run removed, or would remove; ``files`` and ``bytes`` count stored objects."""

    models: int = 0
    versions: int = 0
    uploads: int = 0
    files: int = 0
    bytes: int = 0
    unknown_files: int = 0
    failures: int = 0
    is_complete: bool = True


@dataclass(frozen=True)
class RunOptions:
    """Options of a run: a dry one only counts, a thorough one goes through all blobs and the whole store."""

    grace: timedelta = GRACE
    is_dry: bool = False
    is_thorough: bool = True


class RunStopped(Exception):
    """Raised to end a run early, because it was asked to."""


class HasTeam(Protocol):
    """Anything that belongs to a team."""

    @property
    def team_id(self) -> UUID:
        """The id of the team."""


Item = TypeVar("Item", bound=HasTeam)


def group_by_team(items: Iterable[Item]) -> dict[UUID, list[Item]]:
    """Group items by team, since a writing transaction belongs to one team."""
    groups = defaultdict[UUID, list[Item]](list)
    for item in items:
        groups[item.team_id].append(item)
    return groups


class CollectionRun:
    """The state that the steps of one run share."""

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        settings: Settings,
        options: RunOptions,
        may_continue: Callable[[], bool],
    ) -> None:
        self.database, self.store, self.settings, self.options = database, store, settings, options
        self.collected = CollectionResult()
        # For rows of no particular team: their conditions are checked in the statement, so no team has to wait.
        self.scope = new_id()
        self._may_go_on = may_continue
        self._failures_in_a_row = 0
        with database.reading() as session:
            self.moment = get_database_time(session)

    @property
    def discarded_before(self) -> datetime:
        """The time before which an object must have been discarded to be removed."""
        return self.moment - self.options.grace

    def check_may_continue(self) -> None:
        """Raise ``RunStopped`` if the run has to end."""
        if not self._may_go_on():
            raise RunStopped("The garbage collection was asked to end.")

    def iterate_pages(
        self, query: Select[*tuple[Any, ...]], *order: InstrumentedAttribute[Any]
    ) -> Iterator[Sequence[Row[Any]]]:
        """Yield the rows of a statement in pages of at most ``PAGE``; a page's transaction is over when it is yielded.

        The columns ``order`` are unique together, and the statement selects them.

        Raises:
            RunStopped: the run has to end; checked before each page.
        """
        ordered, after = query.order_by(*order).limit(PAGE), None
        while True:
            self.check_may_continue()
            statement = ordered
            if after is not None:
                position = [literal(getattr(after, column.key), column.type) for column in order]
                statement = ordered.where(tuple_(*order) > tuple_(*position))
            with self.database.reading() as session:
                page = session.execute(statement).all()
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = page[-1]

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
        """Log what the run removed, or would remove, and warn if there were stored files without a row."""
        if self.collected.unknown_files:
            log.warning("stored files without a row in the database were kept", extra=asdict(self.collected))
        log.info("garbage found" if self.options.is_dry else "garbage collected", extra=asdict(self.collected))
