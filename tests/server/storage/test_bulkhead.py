"""The per-team limits on concurrent store calls."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from modelyard.server.storage.blob_store import StoreUnavailable
from modelyard.server.storage.bulkhead import TeamLimiter
from tests.waiting import PATIENCE_SECONDS, wait_until


class StalledCalls:
    """Calls that hold a limiter until they are released."""

    def __init__(self, limiter: TeamLimiter) -> None:
        self.limiter = limiter
        self.running = 0
        self._released = threading.Event()
        self._threads = ThreadPoolExecutor(32)

    def call(self, team: str) -> Future[None]:
        return self._threads.submit(self._hold, team)

    def _hold(self, team: str) -> None:
        with self.limiter.acquire(team):
            self.running += 1
            self._released.wait(PATIENCE_SECONDS)

    def release(self) -> None:
        self._released.set()
        self._threads.shutdown()


@pytest.fixture
def make_stalled_calls() -> Iterator[Callable[..., StalledCalls]]:
    with ExitStack() as stack:

        def make(**limits: float) -> StalledCalls:
            calls = StalledCalls(TeamLimiter(**limits))  # type: ignore[arg-type]  # counts are whole numbers here
            stack.callback(calls.release)
            return calls

        yield make


def test_acquire_while_other_team_is_stalled_succeeds(make_stalled_calls: Callable[..., StalledCalls]) -> None:
    calls = make_stalled_calls(max_running=2, max_queued=2, max_total=10, queue_timeout_seconds=PATIENCE_SECONDS)
    for _ in range(4):
        calls.call("a")
    wait_until(lambda: calls.running == 2)
    with calls.limiter.acquire("b"):
        pass


def test_acquire_with_full_queue_fails_at_once(make_stalled_calls: Callable[..., StalledCalls]) -> None:
    calls = make_stalled_calls(max_running=1, max_queued=0, max_total=10, queue_timeout_seconds=PATIENCE_SECONDS)
    calls.call("a")
    wait_until(lambda: calls.running == 1)
    with pytest.raises(StoreUnavailable), calls.limiter.acquire("a"):
        pass


def test_acquire_after_queue_timeout_fails(make_stalled_calls: Callable[..., StalledCalls]) -> None:
    calls = make_stalled_calls(max_running=1, max_queued=1, max_total=10, queue_timeout_seconds=0.01)
    calls.call("a")
    wait_until(lambda: calls.running == 1)
    with pytest.raises(StoreUnavailable), calls.limiter.acquire("a"):
        pass


def test_acquire_queued_call_runs_when_another_ends(make_stalled_calls: Callable[..., StalledCalls]) -> None:
    calls = make_stalled_calls(max_running=1, max_queued=3, max_total=10, queue_timeout_seconds=PATIENCE_SECONDS)
    futures = [calls.call("a") for _ in range(4)]
    wait_until(lambda: calls.running == 1)
    calls.release()
    assert [future.exception() for future in futures] == [None] * 4


def test_acquire_beyond_total_limit_fails_for_idle_team(
    make_stalled_calls: Callable[..., StalledCalls],
) -> None:
    calls = make_stalled_calls(max_running=2, max_queued=0, max_total=3, queue_timeout_seconds=PATIENCE_SECONDS)
    for team in ("a", "b", "c"):
        calls.call(team)
    wait_until(lambda: calls.running == 3)
    with pytest.raises(StoreUnavailable), calls.limiter.acquire("d"):
        pass


def test_acquire_released_team_keeps_no_counters(make_stalled_calls: Callable[..., StalledCalls]) -> None:
    limiter = make_stalled_calls(max_running=1).limiter
    with limiter.acquire("a"):
        pass
    assert not limiter._admitted
    assert not limiter._running
