"""The operation limiter: limits of concurrent operations per account, and its queue."""

import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import Limits
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.wire.problems import Unavailable
from tests.waiting import PATIENCE_SECONDS, wait_until_async

ACCOUNT, OTHER_ACCOUNT = Account("ada", "studio"), Account("bob", "lab")


class BlockingOperation:
    """An operation that blocks its thread until it is released; counts how often it runs at the moment."""

    def __init__(self) -> None:
        self.running = 0
        self.release = threading.Event()

    def __call__(self) -> str:
        self.running += 1
        self.release.wait(2 * PATIENCE_SECONDS)
        self.running -= 1
        return "done"


@pytest.fixture
def operation() -> Iterator[BlockingOperation]:
    operation = BlockingOperation()
    yield operation
    operation.release.set()


async def wait_until_running(operation: BlockingOperation, count: int) -> None:
    await wait_until_async(lambda: operation.running == count)


async def test_run_account_at_limit_leaves_threads_for_others(operation: BlockingOperation) -> None:
    limiter = OperationLimiter(Limits(3, per_person=2, per_team=2), queue_seconds=PATIENCE_SECONDS)
    writes = [asyncio.create_task(limiter.run(ACCOUNT, operation)) for _ in range(5)]
    await wait_until_running(operation, 2)

    assert await limiter.run(OTHER_ACCOUNT, lambda: "other") == "other"

    assert operation.running == 2
    operation.release.set()
    assert await asyncio.gather(*writes) == ["done"] * 5


async def test_run_all_threads_taken_waits_in_order_of_arrival(operation: BlockingOperation) -> None:
    limiter, ran = OperationLimiter(Limits(1, per_person=1, per_team=1), queue_seconds=PATIENCE_SECONDS), list[int]()
    first = asyncio.create_task(limiter.run(ACCOUNT, operation))
    await wait_until_running(operation, 1)
    others = [asyncio.create_task(limiter.run(Account(f"{n}"), partial(ran.append, n))) for n in (2, 3, 4)]
    await wait_until_async(lambda: limiter.places.waiting.total == 3)
    assert ran == []
    operation.release.set()
    await asyncio.gather(first, *others)
    assert ran == [2, 3, 4]


async def test_run_freed_thread_goes_to_the_first_account_below_its_limit() -> None:
    limiter, ran = OperationLimiter(Limits(3, per_person=2, per_team=2), queue_seconds=PATIENCE_SECONDS), list[str]()
    of_account, of_other = BlockingOperation(), BlockingOperation()
    held = [asyncio.create_task(limiter.run(ACCOUNT, of_account)) for _ in range(2)]
    held.append(asyncio.create_task(limiter.run(OTHER_ACCOUNT, of_other)))
    await wait_until_async(lambda: (of_account.running, of_other.running) == (2, 1))
    next_ones = [
        asyncio.create_task(limiter.run(account, partial(ran.append, name)))
        for account, name in ((ACCOUNT, "third of one"), (ACCOUNT, "fourth of one"), (OTHER_ACCOUNT, "of another"))
    ]
    await wait_until_async(lambda: limiter.places.waiting.total == 3)
    of_other.release.set()
    await wait_until_async(next_ones[2].done)
    assert ran == ["of another"]
    of_account.release.set()
    await asyncio.gather(*held, *next_ones)
    # The account's two threads are free at once, and so these two may run in any order.
    assert sorted(ran[1:]) == ["fourth of one", "third of one"]


async def test_run_queue_timeout_raises_unavailable(operation: BlockingOperation) -> None:
    limiter = OperationLimiter(Limits(1, per_person=1, per_team=1), queue_seconds=0.05)
    first = asyncio.create_task(limiter.run(ACCOUNT, operation))
    await wait_until_running(operation, 1)

    with pytest.raises(Unavailable) as refused:
        await limiter.run(ACCOUNT, operation)

    assert refused.value.facts["retry_after"] > 0
    operation.release.set()
    await first
    assert await limiter.run(ACCOUNT, lambda: "again") == "again"


async def test_run_full_queue_raises_unavailable_at_once(operation: BlockingOperation) -> None:
    limiter = OperationLimiter(
        Limits(1, per_person=1, per_team=1), queue=Limits(10, per_person=1, per_team=1), queue_seconds=PATIENCE_SECONDS
    )
    writes = [asyncio.create_task(limiter.run(ACCOUNT, operation)) for _ in range(2)]
    await wait_until_running(operation, 1)
    with pytest.raises(Unavailable):
        await limiter.run(ACCOUNT, operation)
    operation.release.set()
    await asyncio.gather(*writes)


async def test_run_operation_raises_releases_thread() -> None:
    limiter = OperationLimiter(Limits(1, per_person=1, per_team=1))
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await limiter.run(ACCOUNT, lambda: 1 // 0)


async def test_run_cancelled_while_queued_runs_next(operation: BlockingOperation) -> None:
    limiter = OperationLimiter(Limits(1, per_person=1, per_team=1), queue_seconds=PATIENCE_SECONDS)
    first = asyncio.create_task(limiter.run(ACCOUNT, operation))
    await wait_until_running(operation, 1)
    cancelled, next_task = (asyncio.create_task(limiter.run(ACCOUNT, lambda: "next")) for _ in range(2))
    await wait_until_async(lambda: limiter.places.waiting.total == 2)
    cancelled.cancel()
    operation.release.set()
    await first
    assert await next_task == "next"
