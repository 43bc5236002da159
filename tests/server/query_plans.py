"""Recording of SQL statements, with the query plans of the database for them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def record_queries(engine: Engine, *, of_all_threads: bool = False) -> Iterator[RecordedQueries]:
    """Record the queries that this thread sends through the engine, or with ``of_all_threads`` any thread."""
    statements, own_thread = RecordedQueries(), threading.get_ident()

    def record(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "FROM" in statement and (of_all_threads or threading.get_ident() == own_thread):
            statements.sent.append((statement, values))

    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)


@contextmanager
def record_statements(engine: Engine | Connection) -> Iterator[list[str]]:
    """Record every statement that this thread sends through the engine; one with many sets of values counts once."""
    statements, own_thread = list[str](), threading.get_ident()

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if threading.get_ident() == own_thread:
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)
