"""One round of clean-up: how it is done, what its steps share, what it did or would do."""

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
from modelyard.server.database.clock import database_now
from modelyard.server.database.session import Database
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, StoreError, StoreUnavailable

# Longer than any signed URL lives, so that whoever began to download or to register can finish.
GRACE = timedelta(hours=2)
# So much is done in one transaction, at most.
PAGE = 500
# After so many failures one after the other the store is asked for nothing more in this round.
_PATIENCE = 3
log = logging.getLogger("modelyard.cleanup")


@dataclass
class Collected:
    """What one round removed, or would remove; ``files`` and ``bytes`` are what the store held of them."""

    models: int = 0
    uploads: int = 0
    files: int = 0
    bytes: int = 0
    unknown_files: int = 0
    failures: int = 0
    is_whole: bool = True


@dataclass(frozen=True)
class Plan:
    """How a round is done: dry it looks only, thorough it goes through all blobs and the whole store."""

    grace: timedelta = GRACE
    is_dry: bool = False
    is_thorough: bool = True


class GivenUp(Exception):
    """The round was told to end before it was through."""


class OfTeam(Protocol):
    """Anything that belongs to a team."""

    @property
    def team_id(self) -> UUID: ...


Item = TypeVar("Item", bound=OfTeam)


def by_team(items: Iterable[Item]) -> dict[UUID, list[Item]]:
    """The items of each team, since a transaction has the turn of one."""
    found = defaultdict[UUID, list[Item]](list)
    for item in items:
        found[item.team_id].append(item)
    return found


class Round:
    """What the steps of one round share."""

    def __init__(
        self, database: Database, store: BlobStore, settings: Settings, plan: Plan, may_go_on: Callable[[], bool]
    ) -> None:
        self.database, self.store, self.settings, self.plan = database, store, settings, plan
        self.collected = Collected()
        # Rows of no team's own are taken by conditions that hold or do not; nobody has to wait for a turn.
        self.scope = new_id()
        self._may_go_on = may_go_on
        self._failures_in_a_row = 0
        with database.reading() as session:
            self.moment = database_now(session)

    @property
    def before(self) -> datetime:
        """What has been useless since then may go."""
        return self.moment - self.plan.grace

    def check(self) -> None:
        """Make sure that the round may go on.

        Raises:
            GivenUp
        """
        if not self._may_go_on():
            raise GivenUp("The clean-up was told to end.")

    def pages(
        self, found: Select[*tuple[Any, ...]], *order: InstrumentedAttribute[Any]
    ) -> Iterator[Sequence[Row[Any]]]:
        """What a statement finds, a page at a time; ``order`` are columns of it that no two rows share."""
        ordered, after = found.order_by(*order).limit(PAGE), None
        while True:
            self.check()
            statement = ordered
            if after is not None:
                reached = [literal(getattr(after, column.key), column.type) for column in order]
                statement = ordered.where(tuple_(*order) > tuple_(*reached))
            with self.database.reading() as session:
                page = session.execute(statement).all()
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = page[-1]

    def tried(self, do: Callable[[], None], **what: object) -> bool:
        """Do something with the store. A failure is counted, and the round goes on with the next.

        Raises:
            StoreUnavailable: there were too many in a row.
        """
        try:
            do()
        except (StoreError, OSError) as error:
            self.collected.failures += 1
            self._failures_in_a_row += 1
            log.warning("could not be removed, and is tried again", extra={**what, "why": str(error)})
            if self._failures_in_a_row >= _PATIENCE:
                raise StoreUnavailable("The store does not answer. The clean-up goes on when it does.") from error
            return False
        self._failures_in_a_row = 0
        return True

    def finish(self) -> None:
        """Say in the log what came of it."""
        if self.collected.unknown_files:
            log.warning("stored files that the database does not know were kept", extra=asdict(self.collected))
        log.info("garbage found" if self.plan.is_dry else "garbage collected", extra=asdict(self.collected))
