"""Places of threads: one blocks until it has a place, and is refused after its time."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.thread_places import ThreadPlaces
from modelyard.server.fairness.usage import UNLIMITED, Limits
from tests.waiting import PATIENCE_SECONDS, wait_until

ONE, OTHER, THIRD = (Account(team=f"team {number}") for number in (1, 2, 3))


class RefusedError(Exception):
    """What these places raise."""


def build_places(total: int, *, seconds: float = PATIENCE_SECONDS, queue: Limits = UNLIMITED) -> ThreadPlaces:
    return ThreadPlaces(Limits(total, per_person=total, per_team=total), seconds, RefusedError, queue)


class Threads:
    """Threads that want a place, one after the other, and write down in which order they had it."""

    def __init__(self, places: ThreadPlaces) -> None:
        self._places = places
        self.had = list[str]()
        self._threads = list[threading.Thread]()

    def add(self, name: str, account: Account) -> None:
        thread = threading.Thread(target=partial(self._hold, name, account))
        self._threads.append(thread)
        thread.start()
        wait_until(lambda: name in self.had or len(self._threads) == len(self.had) + self._places.places.waiting.total)

    def _hold(self, name: str, account: Account) -> None:
        with self._places.hold(account):
            self.had.append(name)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)


@pytest.fixture
def places() -> ThreadPlaces:
    return build_places(1)


@pytest.fixture
def threads(places: ThreadPlaces) -> Iterator[Threads]:
    threads = Threads(places)
    yield threads
    threads.join()


def test_hold_many_threads_of_one_team_serves_other_team_next(places: ThreadPlaces, threads: Threads) -> None:
    with places.hold(ONE):
        for name in ("one-a", "one-b", "one-c"):
            threads.add(name, ONE)
        for name, account in (("other-a", OTHER), ("other-b", OTHER), ("third", THIRD)):
            threads.add(name, account)
    threads.join()
    assert threads.had == ["other-a", "third", "one-a", "other-b", "one-b", "one-c"]


def test_hold_no_place_in_time_raises_and_holds_nothing() -> None:
    places = build_places(1, seconds=0)
    with places.hold(ONE):
        for account in (ONE, OTHER):
            with pytest.raises(RefusedError), places.hold(account):
                pass
    with places.hold(OTHER) as seconds_left:
        assert seconds_left == 0


def test_hold_full_queue_raises_while_the_place_is_taken() -> None:
    places = build_places(1, queue=Limits(1, per_person=1, per_team=1))
    waiting = Threads(places)
    with places.hold(ONE):
        waiting.add("waiting", ONE)
        with pytest.raises(RefusedError), places.hold(ONE):
            pass
        # It still waits, so the other one was refused without waiting for as long.
        assert waiting.had == []
    waiting.join()
    assert waiting.had == ["waiting"]


def test_hold_two_places_at_once_are_released() -> None:
    places = build_places(2)
    with places.hold(ONE), places.hold(ONE):
        pass
    threads = Threads(places)
    with places.hold(ONE):
        threads.add("beside", ONE)
        wait_until(lambda: threads.had == ["beside"])


def test_hold_block_raises_releases_place(places: ThreadPlaces) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), places.hold(ONE):
            raise ZeroDivisionError
