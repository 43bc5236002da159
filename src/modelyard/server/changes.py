"""A team's revision and totals: slices change them in their own transaction, and whoever waits for news wakes by it."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from modelyard.server.database.base import Row
from modelyard.server.database.session import Database, announce, table_of
from modelyard.wire.problems import Problem

log = logging.getLogger("modelyard.changes")


class TeamTotalsRow(Row):
    """What is kept so that nobody has to count it, and how often something that machines care about has changed."""

    __tablename__ = "team_totals"

    team_id: Mapped[UUID] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(default=1)
    living_models: Mapped[int] = mapped_column(default=0)
    stored_bytes: Mapped[int] = mapped_column(default=0)


@dataclass(frozen=True)
class Totals:
    """One moment of a team: how many living models, and how many bytes, each once."""

    revision: int
    living_models: int
    stored_bytes: int


_table = table_of(TeamTotalsRow)
_totals = _table.c
_move = (
    update(_table)
    .where(_totals.team_id == bindparam("of_team"))
    .values(
        revision=_totals.revision + bindparam("news"),
        living_models=_totals.living_models + bindparam("models"),
        stored_bytes=_totals.stored_bytes + bindparam("bytes"),
    )
)
_look = select(_totals.revision, _totals.living_models, _totals.stored_bytes).where(
    _totals.team_id == bindparam("of_team")
)


def begin(session: Session, team_id: UUID) -> None:
    """Start counting for a new team."""
    session.add(TeamTotalsRow(team_id=team_id))


def raise_revision(session: Session, team_id: UUID, *, models: int = 0, stored_bytes: int = 0) -> None:
    """Say, with this transaction, that machines of this team must look again, and by how much its totals moved."""
    session.connection().execute(_move, {"of_team": team_id, "news": 1, "models": models, "bytes": stored_bytes})
    announce(session, team_id)


def move_totals(session: Session, team_id: UUID, *, stored_bytes: int) -> None:
    """Move what the team stores, which is no news to any machine."""
    session.connection().execute(_move, {"of_team": team_id, "news": 0, "models": 0, "bytes": stored_bytes})


def totals_of(session: Session, team_id: UUID) -> Totals:
    found = session.connection().execute(_look, {"of_team": team_id}).one_or_none()
    return Totals(0, 0, 0) if found is None else Totals(*found)


@dataclass(eq=False)
class _Waiter:
    """Somebody who waits for the team's revision to pass ``since``."""

    team_id: UUID
    since: int
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Watcher:
    """Wakes those who wait for a team's news, whichever process made it. It belongs to one event loop.

    While anybody waits, one query a second asks for the revisions of all teams that are waited for. News of this very
    process comes at once. A database that does not answer leaves everybody waiting.
    """

    def __init__(self, database: Database, every_seconds: float = 1.0) -> None:
        self._database = database
        self._every_seconds = every_seconds
        self._waiters: set[_Waiter] = set()
        self._asking: asyncio.Task[None] | None = None

    async def changed(self, team_id: UUID, since: int, timeout_seconds: float) -> bool:
        """Wait until the team's revision is past ``since``; False if that did not happen in time."""
        waiter = _Waiter(team_id, since)
        self._waiters.add(waiter)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(asyncio.get_running_loop()))
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiter.news.wait()
        except TimeoutError:
            return False
        finally:
            self._waiters.discard(waiter)
        return True

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._database.heard_by(lambda news: self._hear(loop, news)):
            while self._waiters:
                asked = list(self._waiters)
                try:
                    revisions = await asyncio.to_thread(self._revisions, {waiter.team_id for waiter in asked})
                except Problem as problem:
                    log.warning("nobody can tell what is new", extra={"why": problem.detail})
                else:
                    for waiter in asked:
                        if revisions.get(waiter.team_id, 0) > waiter.since:
                            waiter.news.set()
                await asyncio.sleep(self._every_seconds)

    def _revisions(self, teams: set[UUID]) -> dict[UUID, int]:
        with self._database.reading() as session:
            rows = session.execute(select(_totals.team_id, _totals.revision).where(_totals.team_id.in_(teams)))
            return {row.team_id: row.revision for row in rows}

    def _hear(self, loop: asyncio.AbstractEventLoop, news: set[object]) -> None:
        """Called in the thread that wrote; the loop may be closed by then."""
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._wake, news)

    def _wake(self, news: set[object]) -> None:
        for waiter in self._waiters:
            if waiter.team_id in news:
                waiter.news.set()
