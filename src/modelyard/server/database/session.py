"""Transactions: one for reading, one for writing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import CursorResult, Delete, Engine, Insert, Table, Update, insert
from sqlalchemy.orm import Session

from modelyard.server.database.base import Row
from modelyard.server.database.engine import (
    NO_TEAM,
    Limits,
    is_sqlite,
    open_engine,
    reading_engine,
    writing_engine,
)
from modelyard.server.database.failures import failures_as_problems
from modelyard.wire.problems import Unavailable

NEWS = "modelyard_news"
Hearer = Callable[[set[object]], None]


class Database:
    """One open database. ``reading`` and ``writing`` may be called from any thread."""

    def __init__(self, url: str, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.engine: Engine = open_engine(url, limits)
        self._reading = reading_engine(self.engine)
        self._here = threading.local()
        self._hearers: list[Hearer] = []
        # SQLite has one writer at a time and its own waiting is a sleep that grows: a lock hands over at once.
        self._writer: AbstractContextManager[Any] = (
            _Turns(limits.busy / 1000) if is_sqlite(self.engine) else nullcontext()
        )

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that sees one moment and changes nothing.

        Raises:
            Unavailable: the database does not answer.
        """
        with failures_as_problems(), Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self, team_id: UUID = NO_TEAM) -> Iterator[Session]:
        """A transaction that is durable when the block ends, or undone if it raises.

        The writers of one team take turns, in all processes, so what the block has read of that team holds until it
        ends; those that name no team take turns among themselves. A SQLite registry has one turn for all. Ask stores
        and hash passwords before.

        Raises:
            Unavailable: the turn did not come, or the database does not answer.
            StorageFull: no room; nothing of the block was kept.
        """
        news: set[object] = set()
        with (
            self._only_one_here(),
            self._writer,
            failures_as_problems(),
            Session(writing_engine(self.engine, team_id), expire_on_commit=False) as session,
            session.begin(),
        ):
            session.info[NEWS] = news
            yield session
        for hear in self._hearers if news else ():
            hear(news)

    @contextmanager
    def heard_by(self, hear: Hearer) -> Iterator[None]:
        """Call ``hear``, while the block runs, with what this process's transactions announce, once they are durable.

        It is called in the thread that wrote, so it only takes note.
        """
        self._hearers = [*self._hearers, hear]
        try:
            yield
        finally:
            self._hearers = [other for other in self._hearers if other is not hear]

    @contextmanager
    def _only_one_here(self) -> Iterator[None]:
        """Refuse a transaction inside another: it would wait for a turn that its own thread has."""
        if getattr(self._here, "writes", False):
            raise RuntimeError("This thread is writing already.")
        self._here.writes = True
        try:
            yield
        finally:
            self._here.writes = False

    def close(self) -> None:
        self.engine.dispose()


class _Turns:
    """A lock that is not waited for without end."""

    def __init__(self, patience_seconds: float) -> None:
        self._lock = threading.Lock()
        self._patience_seconds = patience_seconds

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=self._patience_seconds):
            raise Unavailable("The database is busy. Try again.", retry_after=1)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def announce(session: Session, news: object) -> None:
    """Tell whoever hears of this process's transactions, when this one is durable."""
    session.info.setdefault(NEWS, set()).add(news)


def changed_rows(session: Session, statement: Update | Delete) -> int:
    """Execute, and tell how many rows it changed; objects that the session holds are not refreshed."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)  # noqa: S101 - what an UPDATE or DELETE gives
    return result.rowcount


def insert_row(session: Session, kind: type[Row], **values: Any) -> None:
    """Insert one row at once, past the unit of work: for the rows that are made many a second."""
    session.connection().execute(_insert_into(kind), values)


@cache
def _insert_into(kind: type[Row]) -> Insert:
    return insert(table_of(kind))


def table_of(kind: type[Row]) -> Table:
    """The table behind a row class, for statements that go past the unit of work."""
    table = kind.__table__
    assert isinstance(table, Table)  # noqa: S101 - every declared class has one
    return table


async def open_database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


Db = Annotated[Database, Depends(open_database)]
