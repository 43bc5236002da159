"""One team's stalled calls leave room for the others'."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.walls import Turnstile
from tests.server.storage.place import until


class Stalled:
    """Calls that pass a turnstile and stay there until they are let go."""

    def __init__(self, turnstile: Turnstile) -> None:
        self.turnstile = turnstile
        self.inside = 0
        self._go_on = threading.Event()
        self._threads = ThreadPoolExecutor(32)

    def call(self, team: str) -> Future[None]:
        return self._threads.submit(self._stay, team)

    def _stay(self, team: str) -> None:
        with self.turnstile.passing(team):
            self.inside += 1
            self._go_on.wait(20)

    def let_go(self) -> None:
        self._go_on.set()
        self._threads.shutdown()


@pytest.fixture
def stalling() -> Iterator[Callable[..., Stalled]]:
    with ExitStack() as stack:

        def make(**limits: float) -> Stalled:
            stalled = Stalled(Turnstile(**limits))  # type: ignore[arg-type]  # counts are whole numbers here
            stack.callback(stalled.let_go)
            return stalled

        yield make


def test_a_stalled_team_does_not_keep_another_waiting(stalling: Callable[..., Stalled]) -> None:
    stalled = stalling(at_once=2, queued=2, in_all=10, patience=20)
    for _ in range(4):
        stalled.call("a")
    until(lambda: stalled.inside == 2)
    with stalled.turnstile.passing("b"):
        pass


def test_who_finds_the_queue_full_is_refused_at_once(stalling: Callable[..., Stalled]) -> None:
    stalled = stalling(at_once=1, queued=0, in_all=10, patience=20)
    stalled.call("a")
    until(lambda: stalled.inside == 1)
    with pytest.raises(StoreUnavailable), stalled.turnstile.passing("a"):
        pass


def test_who_waits_in_vain_is_refused(stalling: Callable[..., Stalled]) -> None:
    stalled = stalling(at_once=1, queued=1, in_all=10, patience=0.01)
    stalled.call("a")
    until(lambda: stalled.inside == 1)
    with pytest.raises(StoreUnavailable), stalled.turnstile.passing("a"):
        pass


def test_who_waits_goes_on_when_somebody_leaves(stalling: Callable[..., Stalled]) -> None:
    stalled = stalling(at_once=1, queued=3, in_all=10, patience=20)
    calls = [stalled.call("a") for _ in range(4)]
    until(lambda: stalled.inside == 1)
    stalled.let_go()
    assert [call.exception() for call in calls] == [None] * 4


def test_all_teams_together_leave_threads_for_what_needs_no_store(stalling: Callable[..., Stalled]) -> None:
    stalled = stalling(at_once=2, queued=0, in_all=3, patience=20)
    for team in ("a", "b", "c"):
        stalled.call(team)
    until(lambda: stalled.inside == 3)
    with pytest.raises(StoreUnavailable), stalled.turnstile.passing("d"):
        pass


def test_a_team_that_left_is_forgotten(stalling: Callable[..., Stalled]) -> None:
    turnstile = stalling(at_once=1).turnstile
    with turnstile.passing("a"):
        pass
    assert not turnstile._here
    assert not turnstile._passing
