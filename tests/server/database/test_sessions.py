"""Transactions: durable, undone whole, one writer at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from modelyard.server.database.session import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'registry.sqlite3'}")
    with database.writing() as session:
        session.execute(text("CREATE TABLE counted (number INTEGER)"))
        session.execute(text("INSERT INTO counted VALUES (0)"))
    yield database
    database.close()


def number(session: Session) -> int:
    return int(session.scalar(text("SELECT number FROM counted")) or 0)


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),  # FULL: an acknowledged commit survives a power cut
        ("foreign_keys", 1),
        ("busy_timeout", 10_000),
    ],
)
def test_every_connection_is_durable_and_checks_references(database: Database, pragma: str, value: object) -> None:
    with database.reading() as session:
        assert session.scalar(text(f"PRAGMA {pragma}")) == value
    with database.writing() as session:
        assert session.scalar(text(f"PRAGMA {pragma}")) == value


def test_a_block_that_raises_changes_nothing(database: Database) -> None:
    def stop_halfway() -> None:
        with database.writing() as session:
            session.execute(text("UPDATE counted SET number = 1"))
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stop_halfway()
    with database.reading() as session:
        assert number(session) == 0


def test_a_reader_sees_one_moment(database: Database) -> None:
    with database.reading() as reader:
        before = number(reader)
        with database.writing() as writer:
            writer.execute(text("UPDATE counted SET number = 7"))
        assert number(reader) == before
    with database.reading() as reader:
        assert number(reader) == 7


def test_many_writers_that_read_first_lose_no_change(database: Database) -> None:
    def add_one(_: int) -> None:
        with database.writing() as session:
            found = number(session)
            session.execute(text("UPDATE counted SET number = :next"), {"next": found + 1})

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(add_one, range(64)))
    with database.reading() as session:
        assert number(session) == 64


def test_a_second_program_waits_for_the_first_and_loses_no_change(database: Database) -> None:
    """``modelyard reset-password`` beside a running server: two pools, one file."""
    other = Database(str(_url(database.engine)))

    def add_one(turn: int) -> None:
        with (database, other)[turn % 2].writing() as session:
            session.execute(text("UPDATE counted SET number = :next"), {"next": number(session) + 1})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add_one, range(20)))
    other.close()
    with database.reading() as session:
        assert number(session) == 20


def _url(engine: Engine) -> object:
    return engine.url
