"""Leases: jobs that only first process at a time runs."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from modelyard.server.database.session import Database
from modelyard.server.leases import Interruption, JobLease, renew_periodically
from modelyard.wire.problems import Unavailable

pytestmark = pytest.mark.slow

SHORT = timedelta(seconds=1.5)
HOUR = timedelta(hours=1)


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = Database(migrated_url)
    yield database
    database.close()


def test_acquire_lease_by_8_processes_at_once_succeeds_once(database: Database) -> None:
    leases = [JobLease(database, "cleanup") for _ in range(8)]
    for _ in range(5):
        with ThreadPoolExecutor(8) as threads:
            acquired = list(threads.map(JobLease.acquire, leases))
        assert acquired.count(True) == 1
        leases[acquired.index(True)].release(is_done=False)


def test_acquire_lease_within_interval_fails_after_done_job_and_succeeds_after_aborted_job(database: Database) -> None:
    first, second = JobLease(database, "cleanup"), JobLease(database, "cleanup")
    assert first.acquire(HOUR)
    first.release(is_done=False)
    assert second.acquire(HOUR)
    second.release(is_done=True)
    assert not first.acquire(HOUR)
    assert first.acquire()


def test_acquire_lease_that_was_not_renewed_in_time_succeeds(database: Database) -> None:
    expired, second = JobLease(database, "cleanup", SHORT), JobLease(database, "cleanup")
    assert expired.acquire()
    assert not second.acquire()
    while not second.acquire():
        pass
    assert expired.renew() is False
    expired.release(is_done=True)
    assert second.renew() is True


def test_keep_renewed_holds_the_lease_beyond_its_lifetime(database: Database) -> None:
    first, second, lost = JobLease(database, "cleanup", SHORT), JobLease(database, "cleanup"), threading.Event()
    assert first.acquire()
    with first.keep_renewed(lost.set):
        assert not lost.wait(3 * SHORT.total_seconds())
        assert not second.acquire()
    first.release(is_done=False)
    assert second.acquire()


def test_keep_renewed_lease_taken_by_another_process_calls_on_lost(database: Database) -> None:
    first, second, lost = JobLease(database, "cleanup", timedelta(0)), JobLease(database, "cleanup"), threading.Event()
    assert first.acquire()
    assert second.acquire()
    with first.keep_renewed(lost.set):
        assert lost.wait(10)


def test_renew_periodically_failing_for_the_lifetime_calls_on_lost() -> None:
    attempts, lost = threading.Semaphore(0), threading.Event()

    def renew() -> bool:
        attempts.release()
        raise Unavailable("The database does not answer.")

    with renew_periodically(renew, SHORT, lost.set):
        assert attempts.acquire(timeout=10)
        assert not lost.is_set()
        assert lost.wait(10)


def test_interruption_is_cleared_by_begin_but_stop_is_permanent() -> None:
    interruption = Interruption()
    interruption.interrupt()
    assert interruption.is_set()
    interruption.begin()
    assert not interruption.wait(0)
    interruption.stop()
    interruption.begin()
    assert interruption.is_set()
