"""Transactions: durable, undone whole, one writer of a team at a time."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from modelyard.server.database.base import UtcTime
from modelyard.server.database.engine import Limits
from modelyard.server.database.session import Database
from tests.postgres import RunningPostgres
from tests.server.environments import PATIENT
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture
def database(database: Database) -> Database:
    """With one row in it, whose number is 0."""
    with database.writing() as session:
        session.execute(text("CREATE TABLE counted (number INTEGER)"))
        session.execute(text("INSERT INTO counted VALUES (0)"))
    return database


@pytest.fixture
def other(database: Database, database_url: str) -> Iterator[Database]:
    """The same database as another process has it open."""
    other = Database(database_url, PATIENT)
    yield other
    other.close()


def number(session: Session) -> int:
    return int(session.scalar(text("SELECT number FROM counted")) or 0)


def add_one(database: Database, team_id: UUID) -> None:
    with database.writing(team_id) as session:
        session.execute(text("UPDATE counted SET number = :next"), {"next": number(session) + 1})


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),  # FULL: an acknowledged commit survives a power cut
        ("foreign_keys", 1),
        ("busy_timeout", 10_000),
    ],
)
def test_sqlite_connection_has_durable_settings(tmp_path: Path, pragma: str, value: object) -> None:
    database = Database(f"sqlite:///{tmp_path / 'registry.sqlite3'}", Limits())
    with database.reading() as session:
        assert session.scalar(text(f"PRAGMA {pragma}")) == value
    with database.writing() as session:
        assert session.scalar(text(f"PRAGMA {pragma}")) == value
    database.close()


def test_writing_block_raises_rolls_back(database: Database) -> None:
    def stop_halfway() -> None:
        with database.writing() as session:
            session.execute(text("UPDATE counted SET number = 1"))
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stop_halfway()
    with database.reading() as session:
        assert number(session) == 0


def test_reading_during_write_sees_one_snapshot(database: Database) -> None:
    with database.reading() as reader:
        before = number(reader)
        with database.writing() as writer:
            writer.execute(text("UPDATE counted SET number = 7"))
        assert number(reader) == before
    with database.reading() as reader:
        assert number(reader) == 7


def test_writing_many_read_modify_writes_lose_no_update(database: Database, other: Database) -> None:
    """Sixteen threads in two processes' worth of pools; SQLite's in-process lock helps only within one of them."""
    team_id = uuid4()
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda turn: add_one((database, other)[turn % 2], team_id), range(64)))
    with database.reading() as session:
        assert number(session) == 64


def test_writing_inside_writing_raises_at_once(database: Database) -> None:
    with database.writing(), pytest.raises(RuntimeError, match="already has a writing"):
        add_one(database, uuid4())
    add_one(database, uuid4())


def test_writing_on_postgresql_does_not_wait_for_other_team(postgres_server: RunningPostgres) -> None:
    mine, yours = uuid4(), uuid4()
    with postgres_server.database() as url:
        database = Database(url)
        got_there = threading.Event()

        def write(team_id: UUID) -> None:
            with database.writing(team_id) as session:
                session.execute(text("SELECT 1"))
                got_there.set()

        with ThreadPoolExecutor(2) as threads, database.writing(mine) as session:
            session.execute(text("SELECT 1"))
            other = threads.submit(write, yours)
            assert got_there.wait(PATIENCE_SECONDS)
            other.result(PATIENCE_SECONDS)
            got_there.clear()
            same = threads.submit(write, mine)
            # It waits in the database, and not for us to look away.
            waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            while not session.scalar(waiting):
                assert not got_there.is_set()
            session.commit()
            same.result(PATIENCE_SECONDS)
        database.close()


def test_writing_with_default_isolation_serializable_loses_no_increment(
    postgres_server: RunningPostgres,
) -> None:
    with postgres_server.database() as url:
        name = url.rpartition("/")[2]
        postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
        database = Database(url)
        with database.writing() as session:
            session.execute(text("CREATE TABLE counted (number INTEGER)"))
            session.execute(text("INSERT INTO counted VALUES (0)"))
        team_id = uuid4()
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: add_one(database, team_id), range(40)))
        with database.reading() as session:
            assert number(session) == 40
        database.close()


def test_read_time_any_database_time_zone_returns_utc(postgres_server: RunningPostgres) -> None:
    moment = datetime(2026, 11, 24, 12, tzinfo=UTC)
    with postgres_server.database() as url:
        postgres_server.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET timezone = 'Asia/Kolkata'")
        database = Database(url)
        with database.reading() as session:
            assert session.scalar(text("SHOW timezone")) == "Asia/Kolkata"
            found = session.scalar(select(bindparam("moment", moment, UtcTime())))
        database.close()
    assert found is not None
    assert found.isoformat() == "2026-11-24T12:00:00+00:00"
