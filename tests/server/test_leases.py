"""Leases: jobs that only one process at a time runs."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy.orm import Session

from modelyard.server import leases
from modelyard.server.database.session import Database
from modelyard.server.leases import Interruption, JobLease, JobLeaseRow, renew_periodically
from modelyard.wire.problems import Unavailable
from tests.server.environments import PATIENT
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

# How often a thread renews a lease, in real time; its life is four times as long.
RENEWAL = timedelta(seconds=1 / 16)
LIFE = 4 * RENEWAL
HOUR = timedelta(hours=1)


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = Database(migrated_url, PATIENT)
    yield database
    database.close()


class Clock:
    """A clock that only the test advances."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def get_database_time(self, _session: Session) -> datetime:
        return self.moment


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the database, for leases."""
    clock = Clock()
    monkeypatch.setattr(leases, "get_database_time", clock.get_database_time)
    return clock


def get_expiry(database: Database) -> datetime | None:
    with database.reading() as session:
        return session.get_one(JobLeaseRow, "cleanup").leased_until


def test_acquire_lease_by_8_processes_at_once_succeeds_once(database: Database) -> None:
    contenders = [JobLease(database, "cleanup") for _ in range(8)]
    for _ in range(5):
        with ThreadPoolExecutor(8) as threads:
            acquired = list(threads.map(JobLease.acquire, contenders))
        assert acquired.count(True) == 1
        contenders[acquired.index(True)].release(is_done=False)


def test_acquire_lease_within_interval_fails_after_done_job_and_succeeds_after_aborted_job(database: Database) -> None:
    first, second = JobLease(database, "cleanup"), JobLease(database, "cleanup")
    assert first.acquire(HOUR)
    first.release(is_done=False)
    assert second.acquire(HOUR)
    second.release(is_done=True)
    assert not first.acquire(HOUR)
    assert first.acquire()


def test_acquire_lease_that_was_not_renewed_in_time_succeeds(database: Database, clock: Clock) -> None:
    expired, second = JobLease(database, "cleanup", LIFE), JobLease(database, "cleanup")
    assert expired.acquire()
    assert not second.acquire()
    clock.moment += LIFE
    assert second.acquire()
    assert expired.renew() is False
    expired.release(is_done=True)
    assert second.renew() is True


def test_keep_renewed_holds_the_lease_beyond_its_lifetime(database: Database, clock: Clock) -> None:
    first, second, lost = JobLease(database, "cleanup", LIFE), JobLease(database, "cleanup"), threading.Event()
    assert first.acquire()
    with first.keep_renewed(lost.set):
        for _ in range(8):
            clock.moment += LIFE / 2
            wait_until(lambda: get_expiry(database) == clock.moment + LIFE)
            assert not second.acquire()
        assert not lost.is_set()
    first.release(is_done=False)
    assert second.acquire()


def test_keep_renewed_lease_taken_by_another_process_calls_on_lost(database: Database) -> None:
    first, second, lost = JobLease(database, "cleanup", timedelta(0)), JobLease(database, "cleanup"), threading.Event()
    assert first.acquire()
    assert second.acquire()
    with first.keep_renewed(lost.set):
        assert lost.wait(PATIENCE_SECONDS)


def test_renew_periodically_failing_for_the_lifetime_calls_on_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    starts, lost = [0.0], threading.Event()
    monkeypatch.setattr(leases, "time", SimpleNamespace(monotonic=lambda: starts[-1]))

    def renew() -> bool:
        starts.append(starts[-1] + RENEWAL.total_seconds())
        raise Unavailable("The database does not answer.")

    with renew_periodically(renew, LIFE, lost.set):
        assert lost.wait(PATIENCE_SECONDS)
    # The last attempt was the first that began a whole life after the lease.
    assert starts[-2] == LIFE.total_seconds()


def test_interruption_is_cleared_by_begin_but_stop_is_permanent() -> None:
    interruption = Interruption()
    interruption.interrupt()
    assert interruption.is_set()
    interruption.begin()
    assert not interruption.wait(0)
    interruption.stop()
    interruption.begin()
    assert interruption.is_set()
