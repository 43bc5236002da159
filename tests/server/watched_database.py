"""A database that records statements, and calls functions of a test between transactions, in the thread of these."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server.database.session import Database
from tests.server.query_plans import record_statements


def _do_nothing() -> None:
    pass


@dataclass
class WatchedDatabase:
    """A registry's database that records the statements of each transaction, and calls a function after each.

    ``before_commit`` has a function for each of the first transactions that write, called at its end.
    """

    database: Database
    after_reading: Callable[[], None] = _do_nothing
    after_writing: Callable[[], None] = _do_nothing
    before_commit: Sequence[Callable[[], None]] = field(default=(), init=False)
    read: list[str] = field(default_factory=list, init=False)
    written: list[list[str]] = field(default_factory=list, init=False)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with record_statements(self.database.engine) as statements, self.database.reading() as session:
            yield session
        self.read += statements
        self.after_reading()

    @contextmanager
    def writing(self, team_id: UUID) -> Iterator[Session]:
        with record_statements(self.database.engine) as statements, self.database.writing(team_id) as session:
            yield session
            for call in self.before_commit[len(self.written) :][:1]:
                call()
        self.written.append(statements)
        self.after_writing()

    def as_database(self) -> Database:
        """Return this for a function that takes a registry's database and uses no more of it than is here."""
        return cast("Database", self)
