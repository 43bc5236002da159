"""How long pushes and their results are kept, and how many can run."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from modelyard.agent.local_api.http import LocalProblem
from modelyard.agent.local_api.running_pushes import (
    KEPT_SECONDS,
    MAX_KEPT_RESULTS,
    MAX_PUSHES,
    RunningPush,
    RunningPushes,
)
from modelyard.agent.local_api.shapes import PushedModel, PushedWorkflow


class Clock:
    now = 0.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def pushes(clock: Clock) -> AsyncIterator[RunningPushes]:
    pushes = RunningPushes(lambda: clock.now)
    yield pushes
    pushes.cancel_all()


async def wait(_: RunningPush) -> PushedModel | PushedWorkflow:
    """Run until cancelled."""
    await asyncio.Event().wait()
    raise AssertionError


async def fail(_: RunningPush) -> PushedModel | PushedWorkflow:
    raise OSError("unreadable")


async def finish(push: RunningPush) -> None:
    """Wait until a push and its callbacks are done."""
    assert push.task is not None
    await asyncio.wait([push.task])
    await asyncio.sleep(0)
    assert push.finished_at is not None


async def test_start_more_pushes_than_may_run_is_503(pushes: RunningPushes) -> None:
    for number in range(MAX_PUSHES):
        pushes.start(number, wait)
    with pytest.raises(LocalProblem) as refused:
        pushes.start("one more", wait)
    assert (refused.value.status, refused.value.document["type"]) == (503, "/problems/too-many-pushes")


async def test_start_after_abandoned_pushes_finished_is_possible(pushes: RunningPushes) -> None:
    for number in range(2 * MAX_PUSHES):
        await finish(pushes.start(number, fail))
    assert pushes.find(0) is not None
    assert pushes.start("one more", wait).finished_at is None


async def test_result_that_is_not_taken_is_removed_after_a_while(pushes: RunningPushes, clock: Clock) -> None:
    push = pushes.start("ink", fail)
    await finish(push)
    clock.now = KEPT_SECONDS
    assert pushes.find("ink") is push
    clock.now += 1
    assert pushes.find("ink") is None


async def test_only_the_newest_results_are_kept(pushes: RunningPushes, clock: Clock) -> None:
    pushes.start("running", wait)
    for number in range(MAX_KEPT_RESULTS + 1):
        clock.now = number / MAX_KEPT_RESULTS
        await finish(pushes.start(number, fail))
    assert (pushes.find(0), pushes.find(1) is None, pushes.find("running") is None) == (None, False, False)


async def test_remove_after_another_request_started_the_push_anew_keeps_it(pushes: RunningPushes) -> None:
    before = pushes.start("ink", fail)
    await finish(before)
    pushes.remove("ink", before)
    anew = pushes.start("ink", wait)
    pushes.remove("ink", before)
    assert pushes.find("ink") is anew
