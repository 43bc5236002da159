"""The order in which the limiter grants slots, and preemption."""

import asyncio

import pytest

from modelyard.transfer.limiter import Limiter, Rank, RequestQueue
from tests.waiting import PATIENCE_SECONDS


async def test_limiter_grants_slots_by_rank_within_capacity() -> None:
    limiter, order = Limiter(1), list[int]()

    async def request(rank: int) -> None:
        async with RequestQueue(limiter, Rank(rank)).acquire_slot():
            order.append(rank)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for rank in (2, 3, 1, 0):
            group.create_task(request(rank))

    assert order == [2, 0, 1, 3]  # the first came when all was free


async def test_limiter_cancelled_waiter_slot_is_granted_to_next_waiter() -> None:
    limiter = Limiter(1)
    slot = await limiter.acquire(Rank(0))
    leaving, staying = asyncio.create_task(limiter.acquire(Rank(1))), asyncio.create_task(limiter.acquire(Rank(2)))
    await asyncio.sleep(0)
    assert limiter.has_waiters

    limiter.release(slot)
    leaving.cancel()  # in the moment in which it got the turn
    await asyncio.wait([leaving])
    await asyncio.wait_for(staying, PATIENCE_SECONDS)

    assert not limiter.has_waiters


async def test_limiter_small_file_preempts_only_the_largest_file() -> None:
    limiter = Limiter(2)
    larger, large = [await limiter.acquire(Rank(size_class)) for size_class in (3, 2)]
    small = asyncio.create_task(limiter.acquire(Rank(1)))
    await asyncio.sleep(0)
    assert (larger.is_preempted, large.is_preempted) == (True, False)
    limiter.release(larger)
    assert (await asyncio.wait_for(small, PATIENCE_SECONDS)).rank == Rank(1)


async def test_limiter_same_size_class_preempts_nothing() -> None:
    limiter = Limiter(1)
    slot = await limiter.acquire(Rank(2, (0.0, 9, "")))
    waiting = asyncio.create_task(limiter.acquire(Rank(2, (0.0, 1, ""))))
    await asyncio.sleep(0)
    assert not slot.is_preempted
    limiter.release(slot)
    await asyncio.wait_for(waiting, PATIENCE_SECONDS)


def test_limiter_capacity_zero_raises_value_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limiter(0)
