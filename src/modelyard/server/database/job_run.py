"""One run of a periodic job on rows: page by page, and team by team.

No statement depends on how many rows or teams there are, and what one team has, or fails at, does not keep the job from
the others.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Protocol, Self, TypeVar
from uuid import UUID

from sqlalchemy import Row, Select, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.wire.problems import StorageFull, Unavailable

# Rows that one statement reads, at most.
PAGE = 500
# After so many teams in a row whose transactions the database refused, it is not one team's lock.
_MAX_REFUSED_TEAMS_IN_A_ROW = 10
log = logging.getLogger("modelyard.jobs")


class RunStopped(Exception):
    """Raised to end a run early, because it was asked to."""


class HasTeam(Protocol):
    """Anything that belongs to a team."""

    @property
    def team_id(self) -> UUID:
        """The id of the team."""


TeamItem = TypeVar("TeamItem", bound=HasTeam)
Result = TypeVar("Result")


def group_by_team(items: Iterable[TeamItem]) -> dict[UUID, list[TeamItem]]:
    """Group items by team, since a writing transaction belongs to one team."""
    groups = defaultdict[UUID, list[TeamItem]](list)
    for item in items:
        groups[item.team_id].append(item)
    return groups


class JobRun:
    """One run of a job; ``job`` is its name in the log. ``failed_teams`` are those that are left to the next run.

    ``moment`` is the time of the database at which the run began.
    """

    # Errors that are not about one team.
    ends_run: ClassVar[tuple[type[Exception], ...]] = (RunStopped, StorageFull)

    def __init__(self, database: Database, job: str, may_continue: Callable[[], bool] = lambda: True) -> None:
        self.database, self.job = database, job
        self.failed_teams = set[UUID]()
        # For rows of no particular team: their conditions are checked in the statement, so no team has to wait.
        self.scope = new_id()
        self._may_go_on = may_continue
        self._left_out = set[UUID]()
        self._refused_teams_in_a_row = 0
        with database.reading() as session:
            self.moment = get_database_time(session)

    def check_may_continue(self) -> None:
        """Raise ``RunStopped`` if the run has to end."""
        if not self._may_go_on():
            raise RunStopped(f"The job was asked to end: {self.job}.")

    def iterate_pages(
        self, query: Select[*tuple[Any, ...]], *order: InstrumentedAttribute[Any]
    ) -> Iterator[Sequence[Row[Any]]]:
        """Yield the rows of a statement in pages of at most ``PAGE``; a page's transaction is over when it is yielded.

        The columns ``order`` are unique together, and the statement selects them.

        Raises:
            RunStopped: the run has to end; checked before each page, and before the work of each team.
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

    def run_step(self, step: Callable[[Self], Result]) -> Result:
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
            RunStopped, StorageFull, or what else ``ends_run`` names: this is not about one team.
            Unavailable: the database has refused the transactions of some teams in a row, and refuses any.
        """
        if team_id in self._left_out:
            return None
        self.check_may_continue()
        try:
            return call()
        except self.ends_run:
            raise
        except Unavailable as problem:
            facts = {"job": self.job, "team": str(team_id), "why": problem.detail}
            log.warning("a job left a team out; the next run tries again", extra=facts)
            self._leave_out(team_id)
            self._refused_teams_in_a_row += 1
            if self._refused_teams_in_a_row >= _MAX_REFUSED_TEAMS_IN_A_ROW:
                self._check_database()
        except Exception:  # whatever is wrong with one team's rows must not keep the job from all others
            log.exception("a job left a team out", extra={"job": self.job, "team": str(team_id)})
            self._leave_out(team_id)
        return None

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

    def _leave_out(self, team_id: UUID) -> None:
        """Count a team as failed, and leave it out of the rest of the step."""
        self._left_out.add(team_id)
        self.failed_teams.add(team_id)
