"""Opening a database; every difference between SQLite and the others stands here."""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_MILLISECONDS = 10_000
# As many as FastAPI's thread pool has threads: a request never waits for a connection.
CONNECTIONS = 40


def open_engine(url: str) -> Engine:
    """An engine for a ``sqlite:///`` URL, with durable commits and real transactions."""
    engine = create_engine(url, pool_size=CONNECTIONS, max_overflow=8, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def writing_engine(engine: Engine) -> Engine:
    """The same pool, whose transactions take the write lock first.

    A SQLite transaction that reads first and writes later fails with "database is locked" when another one has
    written in between.
    """
    return engine.execution_options(modelyard_writes=True)


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
    writes = connection.get_execution_options().get("modelyard_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
