"""Transactions of the database: for reading and for writing."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import CursorResult, Delete, Engine, Insert, Table, Update, insert
from sqlalchemy.orm import Session

from modelyard.server.database.base import Row
from modelyard.server.database.engine import (
    NO_TEAM,
    Limits,
    build_reading_engine,
    build_writing_engine,
    is_sqlite,
    open_engine,
)
from modelyard.server.database.failures import translate_failures
from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.thread_places import ThreadPlaces
from modelyard.server.fairness.usage import Limits as PlaceLimits
from modelyard.wire.problems import Unavailable

ANNOUNCEMENTS = "modelyard_news"
IDS_AT_ONCE = 500
Item = TypeVar("Item")
Id = TypeVar("Id")
Subscriber = Callable[[set[object]], None]
# Whether the current context serves a request, also in its threads and tasks; limits its reads on SQLite.
serves_request: ContextVar[bool] = ContextVar("serves_request", default=False)


class Database:
    """One open database. ``reading`` and ``writing`` may be called from any thread."""

    def __init__(self, url: str, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.engine: Engine = open_engine(url, limits)
        self._reading = build_reading_engine(self.engine)
        self._request_reading = build_reading_engine(self.engine, limits.reading)
        self._local = threading.local()
        self._subscribers: list[Subscriber] = []
        # SQLite has one writer at a time and waits by sleeping ever longer: a lock of ours hands over at once.
        # On PostgreSQL, waiting writers hold connections, and must leave some to the readers.
        writers = 1 if is_sqlite(self.engine) else max(1, (limits.connections + limits.extra_connections) // 2)
        self.writers = _build_writer_places(writers, limits.busy)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a transaction that sees one snapshot, for reading; it is rolled back at its end.

        On SQLite a transaction of a request is limited by ``Limits.reading``; jobs, commands and migrations are not.

        Raises:
            Unavailable: the database does not answer, or not in time.
        """
        engine = self._request_reading if serves_request.get() else self._reading
        with translate_failures(), Session(engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self, team_id: UUID = NO_TEAM) -> Iterator[Session]:
        """Open a transaction that is committed durably when the block ends, or rolled back if it raises.

        The writers of one team are serialised across all processes, so what the block has read of that team stays true
        until it ends; writers without a team are serialised among themselves, and on SQLite all writers are. Call
        stores and hash passwords before the block, since it holds the lock.

        Raises:
            Unavailable: the lock was not obtained in time, or the database does not answer.
            StorageFull: the disk is full; the block was rolled back.
            RuntimeError: this thread is inside such a block already.
        """
        announcement: set[object] = set()
        with (
            self._forbid_nested_writing(),
            self.writers.hold(Account(team=team_id)) as seconds_left,
            translate_failures(),
            Session(
                build_writing_engine(self.engine, team_id, _to_milliseconds(seconds_left)), expire_on_commit=False
            ) as session,
            session.begin(),
        ):
            session.info[ANNOUNCEMENTS] = announcement
            yield session
        for notify in self._subscribers if announcement else ():
            notify(announcement)

    @contextmanager
    def subscribe(self, notify: Subscriber) -> Iterator[None]:
        """Subscribe to this process's announcements for the duration of the block.

        ``notify`` is called after each commit whose transaction announced something, with the set of announcements, in
        the thread that wrote: so it must be quick and not raise.
        """
        self.add_subscriber(notify)
        try:
            yield
        finally:
            self._subscribers = [other for other in self._subscribers if other is not notify]

    def add_subscriber(self, notify: Subscriber) -> None:
        """Subscribe to the announcements for as long as the database is open; see ``subscribe``."""
        self._subscribers = [*self._subscribers, notify]

    @contextmanager
    def _forbid_nested_writing(self) -> Iterator[None]:
        """Refuse a writing transaction inside another: it would wait for a lock that its own thread holds.

        Raises:
            RuntimeError: this thread has one.
        """
        if getattr(self._local, "writes", False):
            raise RuntimeError("This thread already has a writing transaction.")
        self._local.writes = True
        try:
            yield
        finally:
            self._local.writes = False

    def close(self) -> None:
        """Close the connections that are not in use."""
        self.engine.dispose()


def _build_writer_places(writers: int, busy_milliseconds: int) -> ThreadPlaces:
    """Build the places of writing transactions: a team with many waiting writers delays another by one transaction."""
    refusal = partial(Unavailable, "The database is busy. Try again.", retry_after=1)
    limits = PlaceLimits(writers, per_person=writers, per_team=writers)
    return ThreadPlaces(limits, busy_milliseconds / 1000, refusal)


def _to_milliseconds(seconds: float) -> int:
    """Return a time limit for the database, whose 0 would be no limit."""
    return max(1, round(1000 * seconds))


def announce(session: Session, announcement: object) -> None:
    """Pass ``announcement`` to this process's subscribers once the writing transaction is committed durably.

    It is hashable; one that occurs twice is passed once. Nothing is passed after a roll-back.
    """
    session.info.setdefault(ANNOUNCEMENTS, set()).add(announcement)


def execute_and_count(session: Session, statement: Update | Delete) -> int:
    """Execute the statement and return how many rows it matched; objects in the session are not refreshed."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)  # noqa: S101 - the result of every UPDATE or DELETE
    return result.rowcount


def insert_row(session: Session, kind: type[Row], **values: Any) -> None:
    """Insert one row immediately, bypassing the unit of work, for rows that are written many times a second."""
    session.connection().execute(_build_insert(kind), values)


def insert_rows(session: Session, kind: type[Row], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows with the same columns, which may be none, by one statement, bypassing the unit of work."""
    if rows:
        session.connection().execute(_build_insert(kind), rows)


@cache
def _build_insert(kind: type[Row]) -> Insert:
    """Return the INSERT statement of a row class, built once."""
    return insert(get_table(kind))


def split_ids(ids: Sequence[Id]) -> Iterator[Sequence[Id]]:
    """Yield the ids in parts that one statement can take, since it has a limited number of parameters."""
    return split(ids, IDS_AT_ONCE)


def split(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield the items in parts of this size."""
    return (items[start : start + size] for start in range(0, len(items), size))


def get_table(kind: type[Row]) -> Table:
    """Return the table of a row class, for statements that bypass the unit of work."""
    table = kind.__table__
    assert isinstance(table, Table)  # noqa: S101 - every declared class has one
    return table


async def get_database(request: Request) -> Database:
    """Return the database of the application that serves this request."""
    database: Database = request.app.state.database
    return database


Db = Annotated[Database, Depends(get_database)]
