"""One run of garbage collection: its options, its result, and what its steps share."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Row, Select, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, StoreError, StoreUnavailable
from modelyard.wire.problems import StorageFull, Unavailable

# Longer than any signed URL is valid, so that downloads and registrations that have upload can finish.
GRACE = timedelta(hours=2)
# Rows that one statement reads, at most.
PAGE = 500
# Versions, and files of folders, that one transaction deletes, at most; more only if one version or model has more.
DELETED_AT_ONCE = 20 * PAGE
# After so many failures of the store in a row the run stops.
_MAX_FAILURES_IN_A_ROW = 3
# After so many teams in a row whose transactions the database refused, it is not one team's lock.
_MAX_REFUSED_TEAMS_IN_A_ROW = 10
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


class RunStopped(Exception):
    """Raised to end a run early, because it was asked to."""


class HasTeam(Protocol):
    """Anything that belongs to a team."""

    @property
    def team_id(self) -> UUID:
        """The id of the team."""


Item = TypeVar("Item")
TeamItem = TypeVar("TeamItem", bound=HasTeam)
Result = TypeVar("Result")


def group_by_team(items: Iterable[TeamItem]) -> dict[UUID, list[TeamItem]]:
    """Group items by team, since a writing transaction belongs to one team."""
    groups = defaultdict[UUID, list[TeamItem]](list)
    for item in items:
        groups[item.team_id].append(item)
    return groups


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
        self._failed_teams, self._left_out = set[UUID](), set[UUID]()
        self._refused_teams_in_a_row = 0
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

    def run_step(self, step: "Callable[[CollectionRun], Result]") -> Result:
        """Run one step, in which teams have their turn again that an earlier one left out; return its result."""
        self._left_out.clear()
        return step(self)

    def call_for_teams(self, items: Iterable[TeamItem], call: Callable[[UUID, list[TeamItem]], object]) -> None:
        """Call with each team and its items; see ``call_for_team`` for failures."""
        for team_id, of_team in group_by_team(items).items():
            self.call_for_team(team_id, partial(call, team_id, of_team))

    def call_for_team(self, team_id: UUID, call: Callable[[], Result]) -> Result | None:
        """Return the result of one team's work; None if it failed, so that the run continues with the other teams.

        A failure is counted and logged. The rest of the step leaves the team out: its work is not called.

        Raises:
            RunStopped, StoreUnavailable, StorageFull: this is not about one team.
            Unavailable: the database has refused the transactions of some teams in a row, and refuses any.
        """
        if team_id in self._left_out:
            return None
        try:
            result = call()
        except (RunStopped, StoreUnavailable, StorageFull):
            raise
        except Unavailable as problem:
            facts = {"team": str(team_id), "why": problem.detail}
            log.warning("a team's garbage was not removed; the next run tries again", extra=facts)
            self._record_failed_team(team_id)
            self._refused_teams_in_a_row += 1
            if self._refused_teams_in_a_row >= _MAX_REFUSED_TEAMS_IN_A_ROW:
                self._check_database()
            return None
        except Exception:  # whatever is wrong with one team's rows must not keep the garbage of all others
            log.exception("a team's garbage was not removed", extra={"team": str(team_id)})
            self._record_failed_team(team_id)
            return None
        return result

    @contextmanager
    def writing(self, team_id: UUID) -> Iterator[Session]:
        """Open a transaction that writes; see ``Database.writing``. A commit shows that the database works."""
        with self.database.writing(team_id) as session:
            yield session
        self._refused_teams_in_a_row = 0

    def _check_database(self) -> None:
        """Check that the database takes a transaction of no team; raises ``Unavailable`` if it does not."""
        with self.writing(self.scope) as session:
            session.execute(select(1))

    def _record_failed_team(self, team_id: UUID) -> None:
        """Count a team, and leave it out of the rest of the step."""
        self._left_out.add(team_id)
        self._failed_teams.add(team_id)
        self.collected.failed_teams = len(self._failed_teams)

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
