"""Who goes next where requests are counted."""

import asyncio

import pytest

from modelyard.transfer.turns import Queue, Turns


async def test_the_lowest_rank_goes_first_and_nobody_beyond_the_number() -> None:
    turns, order = Turns(1), list[int]()

    async def request(rank: int) -> None:
        async with Queue(turns, rank).turn():
            order.append(rank)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for rank in (2, 3, 1, 0):
            group.create_task(request(rank))

    assert order == [2, 0, 1, 3]  # the first came when all was free


async def test_who_gives_up_waiting_leaves_its_turn_to_the_next() -> None:
    turns = Turns(1)
    await turns.take(0)
    leaving, staying = asyncio.create_task(turns.take(1)), asyncio.create_task(turns.take(2))
    await asyncio.sleep(0)
    assert turns.is_awaited

    turns.give_back()
    leaving.cancel()  # in the moment in which it got the turn
    await asyncio.wait([leaving])
    await asyncio.wait_for(staying, 1)

    assert not turns.is_awaited


def test_no_turn_at_all_is_no_budget() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Turns(0)
