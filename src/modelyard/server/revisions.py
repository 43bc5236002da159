"""The revision and the totals of each team, changed in the transaction of each operation, and waiting for revisions."""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from modelyard.server.database.base import Row
from modelyard.server.database.session import Database, announce, get_table
from modelyard.wire.problems import Problem

log = logging.getLogger("modelyard.revisions")


class TeamTotalsRow(Row):
    """The stored totals of a team, and its revision: how often something that concerns machines has changed."""

    __tablename__ = "team_totals"

    team_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(default=1)
    living_models: Mapped[int] = mapped_column(default=0)
    stored_bytes: Mapped[int] = mapped_column(default=0)


@dataclass(frozen=True)
class Totals:
    """A team's revision, its number of models that are not deleted, and its stored bytes, each blob counted once."""

    revision: int
    living_models: int
    stored_bytes: int


_table = get_table(TeamTotalsRow)
_totals = _table.c
_update_totals = (
    update(_table)
    .where(_totals.team_id == bindparam("of_team"))
    .values(
        revision=_totals.revision + bindparam("revisions"),
        living_models=_totals.living_models + bindparam("models"),
        stored_bytes=_totals.stored_bytes + bindparam("bytes"),
    )
)
_select_totals = select(_totals.revision, _totals.living_models, _totals.stored_bytes).where(
    _totals.team_id == bindparam("of_team")
)


def create_totals(session: Session, team_id: UUID) -> None:
    """Insert the totals of a new team."""
    session.add(TeamTotalsRow(team_id=team_id))


def increment_revision(session: Session, team_id: UUID, *, models: int = 0, stored_bytes: int = 0) -> None:
    """Increment the team's revision in this transaction, and add to its totals; waiting machines wake at commit."""
    values = {"of_team": team_id, "revisions": 1, "models": models, "bytes": stored_bytes}
    session.connection().execute(_update_totals, values)
    announce(session, team_id)


def change_stored_bytes(session: Session, team_id: UUID, *, stored_bytes: int) -> None:
    """Add to the team's stored bytes without a new revision, since it does not concern machines."""
    values = {"of_team": team_id, "revisions": 0, "models": 0, "bytes": stored_bytes}
    session.connection().execute(_update_totals, values)


def get_totals(session: Session, team_id: UUID) -> Totals:
    """Return the totals of a team; zeros if it has none."""
    found = session.connection().execute(_select_totals, {"of_team": team_id}).one_or_none()
    return Totals(0, 0, 0) if found is None else Totals(*found)


def get_revisions(session: Session, team_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the revision of each of these teams that has one."""
    found = session.connection().execute(select(_totals.team_id, _totals.revision).where(_totals.team_id.in_(team_ids)))
    return {row.team_id: row.revision for row in found}


@dataclass(eq=False)
class _Waiter:
    """A request that waits until the team's revision is greater than ``since``."""

    team_id: UUID
    since: int
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class RevisionWatcher:
    """Wakes requests that wait for a team's next revision, whichever process made it. Belongs to one event loop.

    While requests wait, one query each ``every_seconds`` reads the revisions of all their teams. Revisions of this
    process wake them at once. While the database does not respond, they keep waiting.
    """

    def __init__(self, database: Database, every_seconds: float = 1.0) -> None:
        self._database = database
        self._every_seconds = every_seconds
        self._waiters: set[_Waiter] = set()
        self._polling: asyncio.Task[None] | None = None

    async def wait_for_revision(self, team_id: UUID, since: int, timeout_seconds: float) -> bool:
        """Wait until the team's revision is greater than ``since``; return False after the timeout.

        Returns True at once when this process has committed a new revision, whatever its number.
        """
        waiter = _Waiter(team_id, since)
        self._waiters.add(waiter)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll(asyncio.get_running_loop()))
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiter.changed.wait()
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)
        return True

    async def _poll(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read the revisions of all waiting teams periodically, and wake requests, until none waits."""
        with self._database.subscribe(lambda announced: self._on_announcement(loop, announced)):
            while self._waiters:
                waiters = list(self._waiters)
                try:
                    revisions = await asyncio.to_thread(self._load_revisions, {waiter.team_id for waiter in waiters})
                except Problem as problem:
                    log.warning("could not read the revisions of teams", extra={"why": problem.detail})
                else:
                    for waiter in waiters:
                        if revisions.get(waiter.team_id, 0) > waiter.since:
                            waiter.changed.set()
                await asyncio.sleep(self._every_seconds)

    def _load_revisions(self, teams: set[UUID]) -> dict[UUID, int]:
        """Return the revisions of teams by id; called in a thread."""
        with self._database.reading() as session:
            rows = session.execute(select(_totals.team_id, _totals.revision).where(_totals.team_id.in_(teams)))
            return {row.team_id: row.revision for row in rows}

    def _on_announcement(self, loop: asyncio.AbstractEventLoop, announced: set[object]) -> None:
        """Wake the waiters from the thread that committed; does nothing if the loop is closed by then."""
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._wake, announced)

    def _wake(self, changed_team_ids: set[object]) -> None:
        """Wake the requests that wait for changes of these teams."""
        for waiter in self._waiters:
            if waiter.team_id in changed_team_ids:
                waiter.changed.set()
