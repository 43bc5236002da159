"""Database engines; all differences between SQLite and PostgreSQL are handled here, except in search."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from pydantic_core import from_json
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

# Execution option of a writing transaction: the scope (a team, or one of those below) whose writers are serialised.
SCOPE = "modelyard_scope"
# Execution option: how many milliseconds it may wait for its lock.
BUSY = "modelyard_busy"
# Execution option: after how many milliseconds SQLite aborts a reading transaction's statement.
READING = "modelyard_reading"
# Steps of SQLite's virtual machine between two checks of the time: about a millisecond.
_STEPS_PER_CHECK = 50_000
NO_TEAM = UUID(int=0)
MIGRATION = UUID(int=1)
# Scopes of leasing where limits count the leases of all teams.
IMPORT_LEASES = UUID(int=2)
DELIVERY_LEASES = UUID(int=3)


@dataclass(frozen=True)
class Limits:
    """Timeouts of database operations in milliseconds, and the number of connections of a process.

    Writers that wait for locks use at most half of the connections, so that readers get one. A starting server waits
    longer, for another one that is migrating the schema. ``statement`` is PostgreSQL's limit for all statements; on
    SQLite, ``reading`` limits what a request reads.
    """

    busy: int = 10_000
    statement: int = 30_000
    reading: int = 10_000
    migration: int = 120_000
    connect: int = 5_000
    connections: int = 40
    extra_connections: int = 8


class DatabaseUnfit(Exception):
    """The database does not exist, or cannot store what the registry needs."""


def open_engine(url: str, limits: Limits) -> Engine:
    """Return an engine for a ``sqlite:///`` or ``postgresql://`` URL; nothing is connected yet.

    On SQLite its connections commit durably and its transactions are real; on both they have timeouts.

    Raises:
        DatabaseUnfit: the URL is invalid or names another kind of database.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Neither the URL nor the error is repeated: it may contain a password.
        raise DatabaseUnfit("MODELYARD_DATABASE_URL is not a valid database URL.") from None
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed, limits)
    if parsed.get_backend_name() == "postgresql":
        return _open_postgres(parsed.set(drivername="postgresql+psycopg"), limits)
    raise DatabaseUnfit("The database is a sqlite:/// or a postgresql:// URL.")


def build_reading_engine(engine: Engine, sqlite_limit: int | None = None) -> Engine:
    """Return an engine on the same pool whose transactions see one snapshot, for reading.

    PostgreSQL refuses writes in them, SQLite does not.

    With ``sqlite_limit``, SQLite aborts statements that run so many milliseconds after their transaction began.
    """
    if is_sqlite(engine):
        return engine if sqlite_limit is None else engine.execution_options(**{READING: sqlite_limit})
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def build_writing_engine(engine: Engine, scope: UUID, busy: int | None = None) -> Engine:
    """Return an engine on the same pool whose transactions wait at their start for others of the same scope.

    So what a transaction has read stays true until it ends, and no rule needs locks of its own. SQLite has one writer
    at a time anyway, and there a transaction that reads first and writes later fails with "database is locked" if
    another one has written in between. ``busy`` is the timeout of the wait in milliseconds, by default the limit.
    """
    options: dict[str, Any] = {SCOPE: scope} if busy is None else {SCOPE: scope, BUSY: busy}
    if is_sqlite(engine):
        return engine.execution_options(**options)
    # Set explicitly: each statement must see what was committed before the lock was obtained.
    return engine.execution_options(**options, isolation_level="READ COMMITTED")


@contextmanager
def open_migration(engine: Engine) -> Iterator[Connection]:
    """Open one transaction for a whole migration; it is committed when the block ends.

    Other migrations wait for it, and on SQLite all writers do. If the process is killed, the old schema stays.

    Raises:
        RuntimeError: it left dangling foreign keys, which SQLite does not check meanwhile; it is rolled back.
    """
    with build_writing_engine(engine, MIGRATION).connect() as connection:
        # SQLite's connection gets settings of its own here, so it must not return to the pool.
        connection.detach()
        with connection.begin():
            yield connection
            if is_sqlite(engine) and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise RuntimeError("The migration left rows with dangling foreign keys.")


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON column: by the fast parser of pydantic, and else by Python's, which accepts more."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)


def is_sqlite(engine: Engine) -> bool:
    """Return whether the engine's database is SQLite."""
    return engine.dialect.name == "sqlite"


def _open_sqlite(url: URL, limits: Limits) -> Engine:
    """Build the engine of a SQLite file."""
    engine = create_engine(
        url,
        pool_size=limits.connections,
        max_overflow=limits.extra_connections,
        pool_timeout=limits.connect / 1000,
        # Statements may appear in logs, their parameters may not.
        hide_parameters=True,
        json_deserializer=parse_json,
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", partial(_prepare_sqlite, limits))
    event.listen(engine, "begin", partial(_begin_sqlite, limits))
    return engine


def _prepare_sqlite(limits: Limits, connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Set up a new connection: no transactions of the driver's own, write-ahead log, durable commits, foreign keys."""
    # Otherwise the driver starts transactions itself, and later than needed.
    driver: Any = connection
    driver.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        # First, since the other pragmas may have to wait for another process.
        f"busy_timeout={limits.busy}",
        # NORMAL lost hundreds of acknowledged commits in a simulated power cut, FULL none.
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    _enable_write_ahead_log(cursor, limits)
    cursor.close()


def _enable_write_ahead_log(cursor: Any, limits: Limits) -> None:
    """Switch the file to the write-ahead log, which it keeps; wait for other processes that do so at the same time.

    SQLite ignores the busy timeout here: of several first connections to a new file, all but one fail at once.
    """
    ends = time.monotonic() + limits.busy / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # The lowest byte, since another process that recovers the log has an extended code.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
            time.sleep(0.01)


def _begin_sqlite(limits: Limits, connection: Connection) -> None:
    """Begin a transaction: deferred for reading, immediate for writing; with the timeouts of its kind.

    A migration also turns foreign keys off for its connection.
    """
    options = connection.get_execution_options()
    scope: UUID | None = options.get(SCOPE)
    _limit_sqlite(connection, options.get(READING))
    if scope == MIGRATION:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={limits.migration}")
        # A recreated table replaces the old one, and dropping the old one must not delete rows that refer to it.
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    elif scope is not None:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={_get_busy_timeout(connection, limits)}")
    connection.exec_driver_sql("BEGIN" if scope is None else "BEGIN IMMEDIATE")


def _limit_sqlite(connection: Connection, milliseconds: int | None) -> None:
    """Let SQLite abort statements of this connection that run later than so long from now; None removes the limit."""
    driver: Any = connection.connection.dbapi_connection
    if milliseconds is None:
        driver.set_progress_handler(None, 0)
        return
    ends = time.monotonic() + milliseconds / 1000
    driver.set_progress_handler(lambda: time.monotonic() > ends, _STEPS_PER_CHECK)


def _open_postgres(url: URL, limits: Limits) -> Engine:
    """Build the engine of a PostgreSQL database, usable behind a pooler."""
    # Nothing outlives a transaction, so that a pooler can be used: no session settings, no prepared statements.
    # The ping costs a round trip and hides a restart of the database.
    keepalive_options = {name: value for name, value in _KEEPALIVE_OPTIONS.items() if name not in url.query}
    engine = create_engine(
        url,
        pool_size=limits.connections,
        max_overflow=limits.extra_connections,
        pool_pre_ping=True,
        pool_timeout=limits.connect / 1000,
        hide_parameters=True,
        json_deserializer=parse_json,
        connect_args={
            "connect_timeout": max(limits.connect // 1000, 1),
            "prepare_threshold": None,
            **keepalive_options,
        },
    )
    event.listen(engine, "begin", partial(_begin_postgres, limits))
    return engine


# A machine that loses power closes no connection; without these a thread waits for hours.
_KEEPALIVE_OPTIONS = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_BEGIN_READING = text("SELECT set_config('statement_timeout', :statement, true)")
# One round trip: PostgreSQL evaluates the columns from left to right, so the limits apply to the wait for the lock.
_BEGIN_WRITING = text(
    "SELECT set_config('statement_timeout', :statement, true), set_config('lock_timeout', :busy, true),"
    " pg_advisory_xact_lock(:scope)"
)


def _begin_postgres(limits: Limits, connection: Connection) -> None:
    """Begin a transaction with its timeouts; a writing one takes the advisory lock of its scope."""
    scope: UUID | None = connection.get_execution_options().get(SCOPE)
    if scope is None:
        connection.execute(_BEGIN_READING, {"statement": str(limits.statement)})
        return
    # An index over a million rows takes long, so a migration has no statement limit.
    is_migration = scope == MIGRATION
    busy, statement = (
        (limits.migration, 0) if is_migration else (_get_busy_timeout(connection, limits), limits.statement)
    )
    # 63 bits of the id: two teams that share them are serialised needlessly, which is harmless.
    lock_key = scope.int & (2**63 - 1)
    connection.execute(_BEGIN_WRITING, {"statement": str(statement), "busy": str(busy), "scope": lock_key})


def _get_busy_timeout(connection: Connection, limits: Limits) -> int:
    """Return the lock timeout of this transaction in milliseconds."""
    busy: int = connection.get_execution_options().get(BUSY, limits.busy)
    return busy
