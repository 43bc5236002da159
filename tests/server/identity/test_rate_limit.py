"""Limits on failed attempts by account and by address, shared by all servers of a database."""

import threading
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import func, insert, select

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.identity import rate_limit
from modelyard.server.identity.rate_limit import ACCOUNT_LIMIT, ADDRESS_LIMIT, PAIR_LIMIT, FailedAttemptLimiter
from modelyard.server.identity.tables import FailedAttemptRow
from modelyard.wire.problems import SignInRefused, TooManyAttempts, Unavailable

pytestmark = pytest.mark.slow

ADDRESS = "10.0.0.1"


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock of the database that stands still: failures expire only where a test moves them into the past."""
    moment = now()
    monkeypatch.setattr(rate_limit, "get_database_time", lambda _session: moment)


@pytest.fixture
def attempts() -> FailedAttemptLimiter:
    return FailedAttemptLimiter()


def fail(attempts: FailedAttemptLimiter, database: Database, account: str, address: str = ADDRESS) -> None:
    with pytest.raises(SignInRefused), attempts.limit(database, account, address, SignInRefused):
        raise SignInRefused("The password is wrong.")


def succeed(attempts: FailedAttemptLimiter, database: Database, account: str, address: str = ADDRESS) -> None:
    with attempts.limit(database, account, address, SignInRefused):
        pass


def is_refused(attempts: FailedAttemptLimiter, database: Database, account: str, address: str = ADDRESS) -> bool:
    try:
        succeed(attempts, database, account, address)
    except TooManyAttempts:
        return True
    return False


def move_failures_into_past(database: Database, seconds: float) -> None:
    """Let all failures expire so many seconds earlier."""
    with database.writing() as session:
        for row in session.scalars(select(FailedAttemptRow)):
            row.expires_at -= timedelta(seconds=seconds)


def test_limit_after_ten_failures_of_account_and_address_raises(
    attempts: FailedAttemptLimiter, database: Database
) -> None:
    for _ in range(PAIR_LIMIT):
        fail(attempts, database, "ada")
    with pytest.raises(TooManyAttempts) as refused:
        succeed(attempts, database, "ada")
    assert 30 <= refused.value.facts["retry_after"] <= 61
    succeed(attempts, database, "ada", "10.0.0.2")
    succeed(attempts, database, "grace")


def test_limit_a_minute_after_first_failure_allows_attempts_again(
    attempts: FailedAttemptLimiter, database: Database
) -> None:
    for _ in range(PAIR_LIMIT):
        fail(attempts, database, "ada")
    move_failures_into_past(database, 30)
    assert is_refused(attempts, database, "ada")
    move_failures_into_past(database, 31)
    succeed(attempts, database, "ada")


def test_limit_success_clears_failures_of_account_and_address(
    attempts: FailedAttemptLimiter, database: Database
) -> None:
    for _ in range(3):
        for _ in range(PAIR_LIMIT - 1):
            fail(attempts, database, "ada")
        succeed(attempts, database, "ada")


def test_limit_of_address_counts_all_accounts(attempts: FailedAttemptLimiter, database: Database) -> None:
    for number in range(ADDRESS_LIMIT):
        fail(attempts, database, f"user{number}")
    assert is_refused(attempts, database, "one more")


def test_limit_of_account_counts_all_addresses(attempts: FailedAttemptLimiter, database: Database) -> None:
    for number in range(ACCOUNT_LIMIT):
        fail(attempts, database, "ada", f"10.0.1.{number}")
    assert is_refused(attempts, database, "ada", "10.0.2.1")


def test_limit_counts_failures_of_other_servers(attempts: FailedAttemptLimiter, database: Database) -> None:
    other = FailedAttemptLimiter()
    for server in (attempts, other) * (PAIR_LIMIT // 2):
        fail(server, database, "ada")
    assert is_refused(attempts, database, "ada")
    assert is_refused(other, database, "ada")


def test_limit_keeps_failures_despite_many_other_attempts(attempts: FailedAttemptLimiter, database: Database) -> None:
    """In 0.3.0, 5,000 attempts on other accounts began the count anew."""
    for number in range(ACCOUNT_LIMIT):
        fail(attempts, database, "ada", f"10.0.1.{number}")
    with database.writing() as session:
        until = session.scalar(select(func.max(FailedAttemptRow.expires_at)))
        others = [{"name": f"other {number}", "failures": 1, "expires_at": until} for number in range(20_000)]
        session.execute(insert(FailedAttemptRow), others)
    for number in range(20):
        fail(attempts, database, f"user{number}", f"10.1.0.{number}")
    assert is_refused(attempts, database, "ada", "10.0.2.1")


def test_failed_attempt_rows_are_deleted_after_a_minute(attempts: FailedAttemptLimiter, database: Database) -> None:
    for number in range(20):
        fail(attempts, database, f"user{number}")
    move_failures_into_past(database, 61)
    fail(attempts, database, "ada")
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(FailedAttemptRow)) == 3
    assert not attempts._in_progress


def test_limit_counts_parallel_attempts_in_progress(attempts: FailedAttemptLimiter, database: Database) -> None:
    everybody, checked, lock = threading.Barrier(2 * PAIR_LIMIT), count(), threading.Lock()

    def guess() -> None:
        everybody.wait()
        try:
            with attempts.limit(database, "ada", ADDRESS, SignInRefused):
                with lock:
                    next(checked)
                raise SignInRefused("The password is wrong.")
        except (SignInRefused, TooManyAttempts):
            pass

    threads = [threading.Thread(target=guess) for _ in range(2 * PAIR_LIMIT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert next(checked) <= PAIR_LIMIT


def test_limit_other_exception_is_not_counted(attempts: FailedAttemptLimiter, database: Database) -> None:
    for _ in range(2 * PAIR_LIMIT):
        with pytest.raises(Unavailable), attempts.limit(database, "ada", ADDRESS, SignInRefused):
            raise Unavailable("Too many people are signing in.", retry_after=2)
    succeed(attempts, database, "ada")


@pytest.mark.parametrize("account", ["", "\x00", "\ud800", "a" * 254])
def test_limit_accepts_any_text_as_account(attempts: FailedAttemptLimiter, database: Database, account: str) -> None:
    for _ in range(PAIR_LIMIT):
        fail(attempts, database, account)
    assert is_refused(attempts, database, account)
    succeed(attempts, database, "ada")
