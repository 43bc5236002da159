"""What a database's failures look like from outside: a problem that names its cause, and never what nobody may know."""

import logging
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from modelyard.server.database.engine import DatabaseUnfit, Limits
from modelyard.server.database.failures import SAID
from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.wire.problems import Problem, StorageFull, Unavailable
from tests.postgres import RunningPostgres

PASSWORD = secrets.token_urlsafe(16)
IMPATIENT = Limits(busy=200, statement=200, connect=1000, connections=1, extra_connections=0)


@pytest.fixture(scope="module")
def guarded() -> Iterator[RunningPostgres]:
    """A PostgreSQL that asks for a password, has few connections, and is stopped and started by these tests."""
    with RunningPostgres(password=PASSWORD, max_connections=8) as server:
        yield server


@pytest.fixture
def patient(guarded: RunningPostgres) -> Iterator[Database]:
    database = Database(guarded.url())
    yield database
    database.close()


@pytest.fixture
def impatient(guarded: RunningPostgres) -> Iterator[Database]:
    database = Database(guarded.url(), IMPATIENT)
    yield database
    database.close()


@pytest.fixture(autouse=True)
def nothing_told(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happens, no log has the password or an address with one."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert PASSWORD not in caplog.text
    assert "postgresql://" not in caplog.text


def refusal(database: Database, statement: str = "SELECT 1") -> Problem:
    """The problem that this statement meets."""
    with pytest.raises(Problem) as refused, database.writing(uuid4()) as session:
        session.execute(text(statement))
    assert PASSWORD not in refused.value.detail
    if isinstance(refused.value, Unavailable):
        assert int(refused.value.facts["retry_after"]) > 0
    return refused.value


def told(failure: str) -> str:
    return SAID[failure][0]


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("53200", "crowded"),
        ("53300", "crowded"),
        ("55P03", "busy"),
        ("57014", "slow"),
        ("57P01", "restarting"),
        ("40001", "collided"),
        ("40P01", "collided"),
        ("25006", "read-only"),
        ("28P01", "refused"),
        ("42501", "forbidden"),
        ("58030", "disk"),
        ("XX001", "damaged"),
        ("08006", "away"),
    ],
)
def test_what_postgresql_says_by_a_code_is_said_in_words(patient: Database, code: str, failure: str) -> None:
    said = refusal(patient, f"DO $$ BEGIN RAISE EXCEPTION 'the server says' USING ERRCODE = '{code}'; END $$")
    assert isinstance(said, Unavailable)
    assert said.detail == told(failure)


def test_a_full_disk_of_postgresql_is_one(patient: Database) -> None:
    assert isinstance(
        refusal(patient, "DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$"), StorageFull
    )


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT no_such_column", ProgrammingError),
        ("SELECT 1 / 0", DataError),
        ("DO $$ BEGIN RAISE EXCEPTION 'twice' USING ERRCODE = '23505'; END $$", IntegrityError),
    ],
)
def test_a_mistake_of_ours_is_no_failure_of_the_database(
    patient: Database, statement: str, error: type[Exception]
) -> None:
    with pytest.raises(error), patient.reading() as session:
        session.execute(text(statement))


def test_a_turn_that_does_not_come_and_a_statement_that_takes_too_long_end(impatient: Database) -> None:
    assert refusal(impatient, "SELECT pg_sleep(5)").detail == told("slow")
    other, team_id = Database(impatient.engine.url.render_as_string(hide_password=False)), uuid4()
    with other.writing(team_id) as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(Unavailable) as refused, impatient.writing(team_id) as waiting:
            waiting.execute(text("SELECT 1"))
    assert refused.value.detail == told("busy")
    other.close()


def test_a_process_without_a_free_connection_says_so_and_goes_on(impatient: Database) -> None:
    with impatient.reading() as session:
        session.execute(text("SELECT 1"))
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(refusal, impatient).result().detail == told("crowded")
    with impatient.writing() as session:
        session.execute(text("SELECT 1"))


def test_a_server_without_a_free_connection_is_crowded(guarded: RunningPostgres) -> None:
    guarded.execute("CREATE ROLE modest LOGIN PASSWORD 'x' CONNECTION LIMIT 1")
    url = guarded.url().replace(f"modelyard:{PASSWORD}", "modest:x")
    with psycopg.connect(url):
        database = Database(url)
        assert refusal(database).detail == told("crowded")
        database.close()
    guarded.execute("DROP ROLE modest")


@pytest.mark.parametrize(
    ("bend", "failure"),
    [
        (lambda url: url.replace(PASSWORD, "wrong"), "refused"),
        (lambda url: url.replace("modelyard:", "nobody:"), "refused"),
        (lambda url: url.replace("/postgres", "/nowhere"), "missing"),
        (lambda url: url + "?sslmode=require", "unencrypted"),
        (lambda url: url + "?sslmode=perhaps", "options"),
        (lambda url: url + "?no_such=option", "options"),
        (lambda url: url.replace("@127.0.0.1", "@no-such-host.invalid"), "away"),
    ],
)
def test_an_address_that_leads_nowhere_says_what_is_wrong_with_it(
    guarded: RunningPostgres, bend: Callable[[str], str], failure: str
) -> None:
    database = Database(bend(guarded.url()))
    assert refusal(database).detail == told(failure)
    with pytest.raises(Unavailable) as refused:
        migrate(database.engine)
    assert refused.value.detail == told(failure)
    database.close()


@pytest.mark.parametrize("url", ["postgresql://a:secret@host:port/x", "mysql://a:secret@host/x", "secret"])
def test_what_is_no_address_is_not_repeated(url: str) -> None:
    with pytest.raises(DatabaseUnfit) as refused:
        Database(url)
    assert "secret" not in str(refused.value)


def test_a_restart_goes_unnoticed_and_a_stop_ends_with_the_next_start(guarded: RunningPostgres) -> None:
    database = Database(guarded.url())
    with database.writing() as session:
        session.execute(text("CREATE TABLE IF NOT EXISTS counted (number INTEGER)"))
    guarded.stop()
    assert refusal(database).detail == told("away")
    guarded.start()
    with database.writing() as session:
        session.execute(text("INSERT INTO counted VALUES (1)"))
    guarded.stop()
    guarded.start()
    with database.reading() as session:
        assert session.scalar(text("SELECT number FROM counted")) == 1
    database.close()


def test_a_transaction_that_is_cut_is_undone_and_said(guarded: RunningPostgres) -> None:
    database = Database(guarded.url())
    with database.writing() as session:
        session.execute(text("CREATE TABLE cut (number INTEGER)"))

    def cut_in_the_middle() -> None:
        with database.writing() as session:
            session.execute(text("INSERT INTO cut VALUES (1)"))
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            guarded.execute(f"SELECT pg_terminate_backend({pid})")
            session.execute(text("INSERT INTO cut VALUES (2)"))

    with pytest.raises(Unavailable) as refused:
        cut_in_the_middle()
    assert refused.value.detail == told("restarting")
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM cut")) == 0
    database.close()


def test_a_database_that_cannot_hold_every_name_is_refused(guarded: RunningPostgres) -> None:
    guarded.execute("CREATE DATABASE narrow ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    database = Database(guarded.url("narrow"))
    with pytest.raises(DatabaseUnfit, match="LATIN1"):
        migrate(database.engine)
    database.close()


def test_a_full_sqlite_disk_is_one_and_loses_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'small.sqlite3'}", Limits(connections=1, extra_connections=0))
    with database.writing() as session:
        session.execute(text("CREATE TABLE kept (words TEXT)"))
        session.execute(text("INSERT INTO kept VALUES ('here')"))
    with database.reading() as session:
        session.execute(text("PRAGMA max_page_count = 4"))
    assert isinstance(refusal(database, "INSERT INTO kept VALUES (zeroblob(1000000))"), StorageFull)
    with database.reading() as session:
        assert list(session.scalars(text("SELECT words FROM kept"))) == ["here"]
    database.close()


def test_a_sqlite_file_that_is_none_or_nowhere_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite3").write_text("this is no database " * 100)
    for path, failure in ((tmp_path / "text.sqlite3", "damaged"), (tmp_path / "no" / "x.sqlite3", "unopened")):
        database = Database(f"sqlite:///{path}")
        assert refusal(database).detail == told(failure)
        database.close()


def test_a_sqlite_writer_that_another_process_holds_up_says_so(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'busy.sqlite3'}", IMPATIENT)
    with database.writing() as session:
        session.execute(text("CREATE TABLE counted (number INTEGER)"))
    holder = sqlite3.connect(tmp_path / "busy.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert refusal(database).detail == told("busy")
    holder.execute("ROLLBACK")
    holder.close()
    with database.writing() as session:
        session.execute(text("INSERT INTO counted VALUES (1)"))
    database.close()
