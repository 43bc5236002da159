"""Recording of SQL statements, with the query plans of the database for them."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine, event


class RecordedQueries:
    """The statements that were recorded, with their parameters."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def plans(self, connection: Connection) -> list[str]:
        """Return the database's plan of each statement, with one step per line."""
        explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        plans = []
        for statement, values in self.sent:
            rows = connection.exec_driver_sql(explain + statement, values).all()
            plans.append("\n".join(str(row[-1]) for row in rows))
        return plans


# Requests and tasks that a block starts run in copies of its context; jobs, and what began before the block, do not.
_recordings: ContextVar[tuple[RecordedQueries, ...]] = ContextVar("recordings", default=())


@contextmanager
def record_queries(engine: Engine, *, of_all_threads: bool = False) -> Iterator[RecordedQueries]:
    """Record the queries that this thread sends through the engine while the block runs.

    With ``of_all_threads``, also those that other threads send for the requests and tasks that the block starts, but
    none of the registry's jobs. Requests from threads that the block itself starts are not recorded.
    """
    statements, own_thread = RecordedQueries(), threading.get_ident()

    def record(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        is_own = threading.get_ident() == own_thread or (of_all_threads and statements in _recordings.get())
        if "FROM" in statement and is_own:
            statements.sent.append((statement, values))

    reset = _recordings.set((*_recordings.get(), statements))
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)
        _recordings.reset(reset)


class CountedSteps:
    """How many steps of its virtual machine SQLite has taken for statements, to the nearest ten of each."""

    def __init__(self) -> None:
        self.steps = 0

    def count(self) -> int:
        """Add the steps between two calls; return 0, so that SQLite goes on."""
        self.steps += _STEPS_PER_CALL
        return 0


# Each call of Python costs more than a step.
_STEPS_PER_CALL = 10


@contextmanager
def count_sqlite_steps(engine: Engine) -> Iterator[CountedSteps]:
    """Count the steps of all statements in transactions that begin while the block runs, in any thread."""
    counted = CountedSteps()

    def begin(connection: Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        driver.set_progress_handler(counted.count, _STEPS_PER_CALL)

    event.listen(engine, "begin", begin)
    try:
        yield counted
    finally:
        event.remove(engine, "begin", begin)


@contextmanager
def record_statements(engine: Engine | Connection) -> Iterator[list[str]]:
    """Record every statement that this thread sends through the engine; one with many sets of values counts once.

    What sets SQLite's busy timeout is left out: it has the rest of a wait in milliseconds.
    """
    statements, own_thread = list[str](), threading.get_ident()

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.get_ident() == own_thread and not statement.startswith("PRAGMA busy_timeout"):
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)


@contextmanager
def record_writes(engine: Engine, table: str) -> Iterator[list[int]]:
    """Record how many rows each statement wrote into or deleted from a table, in any thread."""
    counts = list[int]()

    def record(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if re.match(rf"(INSERT INTO|UPDATE|DELETE FROM) {table}\b", statement):
            counts.append(cursor.rowcount)

    event.listen(engine, "after_cursor_execute", record)
    try:
        yield counts
    finally:
        event.remove(engine, "after_cursor_execute", record)
