"""Database failures become problems with a message for their cause, without secrets."""

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
from modelyard.server.database.failures import FAILURES
from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database, serves_request
from modelyard.wire.problems import Problem, StorageFull, Unavailable
from tests.postgres import RunningPostgres

pytestmark = pytest.mark.slow

PASSWORD = secrets.token_urlsafe(16)
# A statement that waits for a lock fails by the first limit, so the second must be longer.
SHORT_LIMITS = Limits(busy=200, statement=2_000, connections=1, extra_connections=0)


@pytest.fixture(scope="module")
def postgres() -> Iterator[RunningPostgres]:
    """A PostgreSQL with a password and few connections, which these tests stop and start."""
    with RunningPostgres(password=PASSWORD, max_connections=8) as server:
        yield server


@pytest.fixture
def database_default_limits(postgres: RunningPostgres) -> Iterator[Database]:
    database = Database(postgres.url())
    yield database
    database.close()


@pytest.fixture
def database_short_limits(postgres: RunningPostgres) -> Iterator[Database]:
    database = Database(postgres.url(), SHORT_LIMITS)
    yield database
    database.close()


@pytest.fixture(autouse=True)
def check_logs_have_no_password(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check after each test that no log line has the password or a database URL."""
    with caplog.at_level(logging.DEBUG):
        yield
    assert PASSWORD not in caplog.text
    assert "postgresql://" not in caplog.text


def get_problem(database: Database, statement: str = "SELECT 1") -> Problem:
    """Execute a statement that must fail; return the problem."""
    with pytest.raises(Problem) as refused, database.writing(uuid4()) as session:
        session.execute(text(statement))
    assert PASSWORD not in refused.value.detail
    if isinstance(refused.value, Unavailable):
        assert int(refused.value.facts["retry_after"]) > 0
    return refused.value


def get_message(failure: str) -> str:
    """Return the message of a failure."""
    return FAILURES[failure][0]


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
def test_translate_failures_sqlstate_has_message(database_default_limits: Database, code: str, failure: str) -> None:
    problem = get_problem(
        database_default_limits, f"DO $$ BEGIN RAISE EXCEPTION 'the server says' USING ERRCODE = '{code}'; END $$"
    )
    assert isinstance(problem, Unavailable)
    assert problem.detail == get_message(failure)


def test_translate_failures_full_postgresql_disk_raises_storage_full(database_default_limits: Database) -> None:
    assert isinstance(
        get_problem(database_default_limits, "DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$"),
        StorageFull,
    )


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT no_such_column", ProgrammingError),
        ("SELECT 1 / 0", DataError),
        ("DO $$ BEGIN RAISE EXCEPTION 'twice' USING ERRCODE = '23505'; END $$", IntegrityError),
    ],
)
def test_translate_failures_programming_error_is_reraised(
    database_default_limits: Database, statement: str, error: type[Exception]
) -> None:
    with pytest.raises(error), database_default_limits.reading() as session:
        session.execute(text(statement))


def test_writing_lock_or_statement_timeout_raises_unavailable(database_short_limits: Database) -> None:
    assert get_problem(database_short_limits, "SELECT pg_sleep(60)").detail == get_message("slow")
    other, team_id = Database(database_short_limits.engine.url.render_as_string(hide_password=False)), uuid4()
    with other.writing(team_id) as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(Unavailable) as refused, database_short_limits.writing(team_id) as waiting:
            waiting.execute(text("SELECT 1"))
    assert refused.value.detail == get_message("busy")
    other.close()


def test_reading_exhausted_pool_raises_unavailable_then_recovers(database_short_limits: Database) -> None:
    with database_short_limits.reading() as session:
        session.execute(text("SELECT 1"))
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(get_problem, database_short_limits).result().detail == get_message("crowded")
    with database_short_limits.writing() as session:
        session.execute(text("SELECT 1"))


def test_reading_exhausted_server_connections_raises_unavailable(postgres: RunningPostgres) -> None:
    postgres.execute("CREATE ROLE modest LOGIN PASSWORD 'x' CONNECTION LIMIT 1")
    url = postgres.url().replace(f"modelyard:{PASSWORD}", "modest:x")
    with psycopg.connect(url):
        database = Database(url)
        assert get_problem(database).detail == get_message("crowded")
        database.close()
    postgres.execute("DROP ROLE modest")


@pytest.mark.parametrize(
    ("change_url", "failure"),
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
def test_open_database_unreachable_url_names_cause(
    postgres: RunningPostgres, change_url: Callable[[str], str], failure: str
) -> None:
    database = Database(change_url(postgres.url()))
    assert get_problem(database).detail == get_message(failure)
    with pytest.raises(Unavailable) as refused:
        migrate(database.engine)
    assert refused.value.detail == get_message(failure)
    database.close()


@pytest.mark.parametrize("url", ["postgresql://a:secret@host:port/x", "mysql://a:secret@host/x", "secret"])
def test_open_engine_invalid_url_is_not_repeated_in_message(url: str) -> None:
    with pytest.raises(DatabaseUnfit) as refused:
        Database(url)
    assert "secret" not in str(refused.value)


def test_reading_after_database_restart_succeeds(postgres: RunningPostgres) -> None:
    database = Database(postgres.url())
    with database.writing() as session:
        session.execute(text("CREATE TABLE IF NOT EXISTS counted (number INTEGER)"))
    postgres.stop()
    assert get_problem(database).detail == get_message("away")
    postgres.start()
    with database.writing() as session:
        session.execute(text("INSERT INTO counted VALUES (1)"))
    postgres.stop()
    postgres.start()
    with database.reading() as session:
        assert session.scalar(text("SELECT number FROM counted")) == 1
    database.close()


def test_writing_terminated_connection_rolls_back_and_raises(postgres: RunningPostgres) -> None:
    database = Database(postgres.url())
    with database.writing() as session:
        session.execute(text("CREATE TABLE cut (number INTEGER)"))

    def cut_in_the_middle() -> None:
        with database.writing() as session:
            session.execute(text("INSERT INTO cut VALUES (1)"))
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            postgres.execute(f"SELECT pg_terminate_backend({pid})")
            session.execute(text("INSERT INTO cut VALUES (2)"))

    with pytest.raises(Unavailable) as refused:
        cut_in_the_middle()
    assert refused.value.detail == get_message("restarting")
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM cut")) == 0
    database.close()


def test_migrate_database_without_utf8_is_refused(postgres: RunningPostgres) -> None:
    postgres.execute("CREATE DATABASE narrow ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    database = Database(postgres.url("narrow"))
    with pytest.raises(DatabaseUnfit, match="LATIN1"):
        migrate(database.engine)
    database.close()


def test_writing_full_sqlite_disk_raises_storage_full_and_loses_nothing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'small.sqlite3'}", Limits(connections=1, extra_connections=0))
    with database.writing() as session:
        session.execute(text("CREATE TABLE kept (words TEXT)"))
        session.execute(text("INSERT INTO kept VALUES ('here')"))
    with database.reading() as session:
        session.execute(text("PRAGMA max_page_count = 4"))
    assert isinstance(get_problem(database, "INSERT INTO kept VALUES (zeroblob(1000000))"), StorageFull)
    with database.reading() as session:
        assert list(session.scalars(text("SELECT words FROM kept"))) == ["here"]
    database.close()


# It counts to a hundred billion.
ENDLESS = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1e11) SELECT max(i) FROM n")
LONG = text(str(ENDLESS).replace("1e11", "2e6"))


@pytest.fixture
def sqlite_short_reads(tmp_path: Path) -> Iterator[Database]:
    """A database with one connection, on which requests may read for 50 ms."""
    limits = Limits(reading=50, connections=1, extra_connections=0)
    database = Database(f"sqlite:///{tmp_path / 'slow.sqlite3'}", limits)
    token = serves_request.set(True)
    yield database
    serves_request.reset(token)
    database.close()


def test_read_request_takes_too_long_on_sqlite_raises_unavailable(sqlite_short_reads: Database) -> None:
    for _ in range(2):
        with pytest.raises(Unavailable) as refused, sqlite_short_reads.reading() as session:
            session.execute(ENDLESS)
        assert refused.value.detail == get_message("slow")
        assert refused.value.facts["retry_after"] > 0
    with sqlite_short_reads.reading() as session:
        assert session.scalar(text("SELECT 1")) == 1


def test_read_job_takes_longer_than_requests_may_on_sqlite_goes_on(sqlite_short_reads: Database) -> None:
    with pytest.raises(Unavailable), sqlite_short_reads.reading() as session:
        session.execute(LONG)
    # A job runs in a thread that no request has started, on the connection that the request had.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(_count_slowly, sqlite_short_reads).result() == 2_000_000
    # Also what writes, and what takes a connection of its own.
    with sqlite_short_reads.writing() as session:
        assert session.scalar(LONG) == 2_000_000
    with sqlite_short_reads.engine.begin() as connection:
        assert connection.scalar(LONG) == 2_000_000


def _count_slowly(database: Database) -> int:
    with database.reading() as session:
        return int(session.scalar(LONG) or 0)


def test_reading_missing_or_invalid_sqlite_file_names_cause(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite3").write_text("this is no database " * 100)
    for path, failure in ((tmp_path / "text.sqlite3", "damaged"), (tmp_path / "no" / "x.sqlite3", "unopened")):
        database = Database(f"sqlite:///{path}")
        assert get_problem(database).detail == get_message(failure)
        database.close()


def test_writing_sqlite_locked_by_other_process_raises_unavailable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'busy.sqlite3'}", SHORT_LIMITS)
    with database.writing() as session:
        session.execute(text("CREATE TABLE counted (number INTEGER)"))
    holder = sqlite3.connect(tmp_path / "busy.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert get_problem(database).detail == get_message("busy")
    holder.execute("ROLLBACK")
    holder.close()
    with database.writing() as session:
        session.execute(text("INSERT INTO counted VALUES (1)"))
    database.close()
