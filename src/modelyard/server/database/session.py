"""Transactions: one for reading, one for writing; a database's own failures become problems here, once."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import CursorResult, Delete, Engine, Insert, Table, Update, insert
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session

from modelyard.server.database.base import Row
from modelyard.server.database.engine import BUSY_MILLISECONDS, NO_TEAM, is_sqlite, open_engine, writing_engine
from modelyard.wire.problems import StorageFull, Unavailable


class Database:
    """One open database. ``reading`` and ``writing`` may be called from any thread."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = open_engine(url)
        # SQLite has one writer at a time and its own waiting is a sleep that grows: a lock hands over at once.
        self._writer: AbstractContextManager[Any] = _Turns() if is_sqlite(self.engine) else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that sees one moment and changes nothing."""
        with _failures_as_problems(), Session(self.engine, expire_on_commit=False) as session:
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
        with (
            self._writer,
            _failures_as_problems(),
            Session(writing_engine(self.engine, team_id), expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def close(self) -> None:
        self.engine.dispose()


class _Turns:
    """A lock that is not waited for without end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=BUSY_MILLISECONDS / 1000):
            raise Unavailable("The database is busy. Try again.", retry_after=1)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@contextmanager
def _failures_as_problems() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if "full" in str(error.orig):
            raise StorageFull("The disk of the database is full. Nothing of this request was kept.") from error
        raise Unavailable("The database does not answer. Try again.", retry_after=2) from error
    except DatabaseError as error:
        if "disk image is malformed" in str(error.orig):
            raise Unavailable("The database is damaged. Ask the operator.", retry_after=60) from error
        raise


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
