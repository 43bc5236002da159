"""Chores that one process at a time does for all."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.leases import Lease, renewing
from modelyard.wire.problems import Unavailable

SHORT = timedelta(seconds=1.5)
HOUR = timedelta(hours=1)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        yield from migrated(f"sqlite:///{tmp_path / 'registry.sqlite3'}")
        return
    with request.getfixturevalue("postgres_server").database() as url:
        yield from migrated(url)


def migrated(url: str) -> Iterator[Database]:
    database = Database(url)
    migrate(database.engine)
    yield database
    database.close()


def test_one_of_many_who_begin_at_once_may(database: Database) -> None:
    leases = [Lease(database, "sweep") for _ in range(8)]
    for _ in range(5):
        with ThreadPoolExecutor(8) as threads:
            took = list(threads.map(Lease.take, leases))
        assert took.count(True) == 1
        leases[took.index(True)].release(is_done=False)


def test_what_was_done_waits_for_its_time_and_what_was_broken_off_does_not(database: Database) -> None:
    one, other = Lease(database, "sweep"), Lease(database, "sweep")
    assert one.take(HOUR)
    one.release(is_done=False)
    assert other.take(HOUR)
    other.release(is_done=True)
    assert not one.take(HOUR)
    assert one.take()


def test_a_lease_ends_with_a_holder_that_says_nothing(database: Database) -> None:
    dead, other = Lease(database, "sweep", SHORT), Lease(database, "sweep")
    assert dead.take()
    assert not other.take()
    while not other.take():
        pass
    assert dead.renew() is False
    dead.release(is_done=True)
    assert other.renew() is True


def test_a_lease_that_is_kept_goes_on(database: Database) -> None:
    one, other, lost = Lease(database, "sweep", SHORT), Lease(database, "sweep"), threading.Event()
    assert one.take()
    with one.kept(lost.set):
        assert not lost.wait(3 * SHORT.total_seconds())
        assert not other.take()
    one.release(is_done=False)
    assert other.take()


def test_who_loses_a_lease_is_told(database: Database) -> None:
    one, other, lost = Lease(database, "sweep", timedelta(0)), Lease(database, "sweep"), threading.Event()
    assert one.take()
    assert other.take()
    with one.kept(lost.set):
        assert lost.wait(10)


def test_a_lease_that_nobody_can_be_asked_for_is_lost_after_its_life() -> None:
    asked, lost = threading.Semaphore(0), threading.Event()

    def renew() -> bool:
        asked.release()
        raise Unavailable("The database does not answer.")

    with renewing(renew, SHORT, lost.set):
        assert asked.acquire(timeout=10)
        assert not lost.is_set()
        assert lost.wait(10)
