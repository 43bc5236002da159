"""Opening a database; every difference between SQLite and PostgreSQL stands here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

# What a writing transaction says of itself: the team (or nothing) whose writers take turns.
SCOPE = "modelyard_scope"
NO_TEAM = UUID(int=0)
MIGRATION = UUID(int=1)


@dataclass(frozen=True)
class Limits:
    """How long anything may wait for a database, in milliseconds, and how many connections a process has.

    As many as FastAPI's thread pool has threads: a request never waits for one. A starting server waits long for
    another one that is bringing the schema up to date.
    """

    busy: int = 10_000
    statement: int = 30_000
    migration: int = 120_000
    connect: int = 5_000
    connections: int = 40
    extra_connections: int = 8


class DatabaseUnfit(Exception):
    """There is no such database, or it cannot hold what the registry has to."""


def open_engine(url: str, limits: Limits) -> Engine:
    """An engine for a ``sqlite:///`` or ``postgresql://`` URL, with durable commits and real transactions.

    Raises:
        DatabaseUnfit: the URL is none, or names another kind of database.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Neither the URL nor what is wrong with it is repeated: it may hold a password.
        raise DatabaseUnfit("MODELYARD_DATABASE_URL is not the URL of a database.") from None
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, limits)
    if parsed.get_backend_name() == "postgresql":
        return _open_postgres(parsed.set(drivername="postgresql+psycopg"), limits)
    raise DatabaseUnfit("The database is a sqlite:/// or a postgresql:// URL.")


def reading_engine(engine: Engine) -> Engine:
    """The same pool, whose transactions see one moment and can change nothing."""
    if is_sqlite(engine):
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writing_engine(engine: Engine, scope: UUID) -> Engine:
    """The same pool, whose transactions wait at their begin until no other one of the same scope is under way.

    Then what a transaction has read is true until it ends, and rules need no locks of their own. SQLite has one
    writer at a time anyway, and a transaction there that reads first and writes later fails with "database is locked"
    when another one has written in between.
    """
    if is_sqlite(engine):
        return engine.execution_options(**{SCOPE: scope})
    # Not what the database has as its default: each statement has to see what was committed before the turn came.
    return engine.execution_options(**{SCOPE: scope}, isolation_level="READ COMMITTED")


@contextmanager
def migrating_connection(engine: Engine) -> Iterator[Connection]:
    """One transaction for all of a migration, which nobody else makes meanwhile; killed in it, the old schema stays."""
    with writing_engine(engine, MIGRATION).connect() as connection:
        # What is set on SQLite's connection here is for nobody else.
        connection.detach()
        with connection.begin():
            yield connection
            if is_sqlite(engine) and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise RuntimeError("The migration left rows that point to nothing.")


def is_sqlite(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"


def _open_sqlite(url: URL, limits: Limits) -> Engine:
    engine = create_engine(
        url,
        pool_size=limits.connections,
        max_overflow=limits.extra_connections,
        pool_timeout=limits.connect / 1000,
        # Statements may stand in logs, and what they were about may not.
        hide_parameters=True,
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", partial(_prepare_sqlite, limits))
    event.listen(engine, "begin", partial(_begin_sqlite, limits))
    return engine


def _prepare_sqlite(limits: Limits, connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # Without this the driver begins transactions of its own, later than we need them.
    driver: Any = connection
    driver.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        # First, since the others may have to wait for another process.
        f"busy_timeout={limits.busy}",
        "journal_mode=WAL",
        # NORMAL lost hundreds of acknowledged commits in a simulated power cut, FULL none.
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(limits: Limits, connection: Connection) -> None:
    scope: UUID | None = connection.get_execution_options().get(SCOPE)
    if scope == MIGRATION:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={limits.migration}")
        # A table that is made anew takes the place of the old one, whose dropping must not delete what refers to it.
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql("BEGIN" if scope is None else "BEGIN IMMEDIATE")


def _open_postgres(url: URL, limits: Limits) -> Engine:
    # Nothing here outlives a transaction, so that a pooler may stand in between: no session settings, no prepared
    # statements. The ping costs a round trip and makes a restarted database unnoticeable.
    noticing = {name: value for name, value in _NOTICING.items() if name not in url.query}
    engine = create_engine(
        url,
        pool_size=limits.connections,
        max_overflow=limits.extra_connections,
        pool_pre_ping=True,
        pool_timeout=limits.connect / 1000,
        hide_parameters=True,
        connect_args={"connect_timeout": max(limits.connect // 1000, 1), "prepare_threshold": None, **noticing},
    )
    event.listen(engine, "begin", partial(_begin_postgres, limits))
    return engine


# A machine that loses its power closes no connection; without these a thread waits for it for hours.
_NOTICING = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
_BEGIN_READING = text("SELECT set_config('statement_timeout', :statement, true)")
# One trip: PostgreSQL computes the columns from left to right, and the limit holds for the waiting already.
_BEGIN_WRITING = text(
    "SELECT set_config('statement_timeout', :statement, true), set_config('lock_timeout', :busy, true),"
    " pg_advisory_xact_lock(:scope)"
)


def _begin_postgres(limits: Limits, connection: Connection) -> None:
    scope: UUID | None = connection.get_execution_options().get(SCOPE)
    if scope is None:
        connection.execute(_BEGIN_READING, {"statement": str(limits.statement)})
        return
    # An index over a million rows takes its time.
    busy, statement = (limits.migration, 0) if scope == MIGRATION else (limits.busy, limits.statement)
    # 63 bits of the id: two teams that share them only take turns where they need not.
    turn = scope.int & (2**63 - 1)
    connection.execute(_BEGIN_WRITING, {"statement": str(statement), "busy": str(busy), "scope": turn})
