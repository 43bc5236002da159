"""How a database answers: the statements of a call, each with the plan that the database made for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event


class Statements:
    """What was sent while it was recorded."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def plans(self, connection: Connection) -> list[str]:
        """The plan of each statement that reads tables, one step a line."""
        explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        found = []
        for statement, values in self.sent:
            rows = connection.exec_driver_sql(explain + statement, values).all()
            found.append("\n".join(str(row[-1]) for row in rows))
        return found


@contextmanager
def recorded(engine: Engine, *, of_all_threads: bool = False) -> Iterator[Statements]:
    """The SELECT statements that this thread, or any, sends through the engine meanwhile; chores go on in theirs."""
    statements, here = Statements(), threading.get_ident()

    def record(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "FROM" in statement and (of_all_threads or threading.get_ident() == here):
            statements.sent.append((statement, values))

    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)
