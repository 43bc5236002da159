"""Opening a database; every difference between SQLite and PostgreSQL stands here."""

from typing import Any
from uuid import UUID

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_MILLISECONDS = 10_000
STATEMENT_MILLISECONDS = 30_000
CONNECT_SECONDS = 5
# As many as FastAPI's thread pool has threads: a request never waits for a connection.
CONNECTIONS = 40
# What a writing transaction says of itself: the team (or nothing) whose writers take turns.
SCOPE = "modelyard_scope"
NO_TEAM = UUID(int=0)


def open_engine(url: str) -> Engine:
    """An engine for a ``sqlite:///`` or ``postgresql://`` URL, with durable commits and real transactions.

    Raises:
        ValueError: the URL names another database.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    if parsed.get_backend_name() == "postgresql":
        return _open_postgres(parsed.set(drivername="postgresql+psycopg"))
    raise ValueError("The database is a sqlite:/// or a postgresql:// URL.")


def writing_engine(engine: Engine, scope: UUID) -> Engine:
    """The same pool, whose transactions wait at their begin until no other one of the same scope is under way.

    Then what a transaction has read is true until it ends, and rules need no locks of their own. SQLite has one
    writer at a time anyway, and a transaction there that reads first and writes later fails with "database is locked"
    when another one has written in between.
    """
    return engine.execution_options(**{SCOPE: scope})


def is_sqlite(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"


def _open_sqlite(url: URL) -> Engine:
    engine = create_engine(url, pool_size=CONNECTIONS, max_overflow=8, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # Without this the driver begins transactions of its own, later than we need them.
    driver: Any = connection
    driver.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        # NORMAL lost hundreds of acknowledged commits in a simulated power cut, FULL none.
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MILLISECONDS}",
        "temp_store=MEMORY",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = SCOPE in connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _open_postgres(url: URL) -> Engine:
    # Nothing here outlives a transaction, so that a pooler may stand in between: no session settings, no prepared
    # statements. The ping costs a round trip and makes a restarted database unnoticeable.
    engine = create_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=8,
        pool_pre_ping=True,
        pool_timeout=CONNECT_SECONDS,
        connect_args={"connect_timeout": CONNECT_SECONDS, "prepare_threshold": None},
    )
    event.listen(engine, "begin", _begin_postgres)
    return engine


_BEGIN_READING = text("SELECT set_config('statement_timeout', :statement, true)")
_BEGIN_WRITING = text(
    "SELECT set_config('statement_timeout', :statement, true), set_config('lock_timeout', :busy, true)"
)
_TAKE_TURN = text("SELECT pg_advisory_xact_lock(:scope)")


def _begin_postgres(connection: Connection) -> None:
    scope: UUID | None = connection.get_execution_options().get(SCOPE)
    limits = {"statement": str(STATEMENT_MILLISECONDS), "busy": str(BUSY_MILLISECONDS)}
    if scope is None:
        connection.execute(_BEGIN_READING, limits)
        return
    connection.execute(_BEGIN_WRITING, limits)
    # 63 bits of the id: two teams that share them only take turns where they need not.
    connection.execute(_TAKE_TURN, {"scope": scope.int & (2**63 - 1)})
