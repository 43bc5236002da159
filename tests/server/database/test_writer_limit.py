import threading
from collections.abc import Iterator
from uuid import UUID

import pytest

from modelyard.server.database.writer_limit import WriterLimit
from modelyard.wire.problems import Unavailable
from tests.waiting import PATIENCE_SECONDS, wait_until

ONE, OTHER, THIRD = (UUID(int=number) for number in (1, 2, 3))


class Writers:
    """Threads that want a place, one after the other, and write down in which order they had it."""

    def __init__(self, limit: WriterLimit) -> None:
        self._limit = limit
        self.had = list[str]()
        self._threads = list[threading.Thread]()

    def add(self, name: str, team_id: UUID) -> None:
        thread = threading.Thread(target=self._write, args=(name, team_id))
        self._threads.append(thread)
        thread.start()
        wait_until(lambda: name in self.had or len(self._threads) == len(self.had) + self._count_waiting())

    def _count_waiting(self) -> int:
        with self._limit._lock:
            return sum(map(len, self._limit._waiting.values()))

    def _write(self, name: str, team_id: UUID) -> None:
        with self._limit.acquire(team_id):
            self.had.append(name)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)


@pytest.fixture
def limit() -> WriterLimit:
    return WriterLimit(1, 1_000 * int(PATIENCE_SECONDS))


@pytest.fixture
def writers(limit: WriterLimit) -> Iterator[Writers]:
    writers = Writers(limit)
    yield writers
    writers.join()


def test_acquire_many_writers_of_one_team_serves_other_team_next(limit: WriterLimit, writers: Writers) -> None:
    with limit.acquire(ONE):
        for name in ("one-a", "one-b", "one-c"):
            writers.add(name, ONE)
        for name, team_id in (("other-a", OTHER), ("other-b", OTHER), ("third", THIRD)):
            writers.add(name, team_id)
    writers.join()
    assert writers.had == ["other-a", "third", "one-a", "other-b", "one-b", "one-c"]


def test_acquire_timeout_raises_unavailable_and_holds_nothing() -> None:
    limit = WriterLimit(1, 50)
    with limit.acquire(ONE):
        for team_id in (ONE, OTHER):
            with pytest.raises(Unavailable) as refused, limit.acquire(team_id):
                pass
            assert refused.value.facts["retry_after"] > 0
    with limit.acquire(OTHER) as milliseconds:
        assert 1 <= milliseconds <= 50


def test_acquire_two_places_at_once_are_released() -> None:
    limit = WriterLimit(2, 1_000 * int(PATIENCE_SECONDS))
    with limit.acquire(ONE), limit.acquire(ONE):
        pass
    writers = Writers(limit)
    with limit.acquire(ONE):
        writers.add("beside", ONE)
        wait_until(lambda: writers.had == ["beside"])


def test_acquire_block_raises_releases_place(limit: WriterLimit) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), limit.acquire(ONE):
            raise ZeroDivisionError
