"""The order in which the limiter grants slots, and which requests pause for others."""

import asyncio

import pytest

from modelyard.transfer.limited_transfer import (
    CHECKS_IN_WINDOW,
    CHECKS_UNTIL_AGED,
    PROVING_BYTES,
    SIZE_CLASSES,
    SLOW_BYTES,
    LimitedTransfer,
)
from modelyard.transfer.limiter import Limiter
from tests.transfer.held_requests import (
    LARGE,
    SMALL,
    TINY,
    begin,
    build_limiter,
    build_transfers,
    check,
    finish,
    let_run,
    list_holders,
    list_preempted,
    receive,
)
from tests.waiting import wait_until_async


async def test_slots_are_granted_to_who_has_least_left() -> None:
    limiter, order = build_limiter(1), list[int]()

    async def request(remaining: int) -> None:
        async with LimitedTransfer(limiter, remaining).acquire_slot():
            order.append(remaining)
            await asyncio.sleep(0)

    sizes = [*SIZE_CLASSES, LARGE]
    async with asyncio.TaskGroup() as group:
        for remaining in (LARGE, *reversed(sizes)):
            group.create_task(request(remaining))

    assert order == [LARGE, *sizes]  # the first came when all was free


async def test_slot_of_a_request_that_is_cancelled_when_it_gets_it_goes_to_the_next() -> None:
    limiter = build_limiter(1)
    transfers = build_transfers(limiter, TINY, TINY, TINY)
    async with begin(transfers[0]) as [first]:
        leaving, staying = (asyncio.create_task(limiter.acquire(each)) for each in transfers[1:])
        await let_run()

        first.end.set()
        leaving.cancel()  # in the moment in which it gets the turn
        await asyncio.wait([leaving, staying])

        assert staying.result().transfer is transfers[2]
        assert not limiter.has_next


async def test_transfer_has_one_request_until_bytes_arrive() -> None:
    limiter = build_limiter(4)
    transfer = LimitedTransfer(limiter, LARGE)
    async with begin(*[transfer] * 3) as requests:
        assert list_holders(requests) == [0]
        await receive(requests, PROVING_BYTES - 1)
        assert list_holders(requests) == [0]
        await receive(requests, 1)
        assert list_holders(requests) == [0, 1, 2]


async def test_larger_transfers_pause_once_a_small_one_receives_until_it_has_ended() -> None:
    limiter = build_limiter(3)
    async with begin(*build_transfers(limiter, LARGE, LARGE, SMALL)) as requests:
        await receive(requests[:2])
        assert list_preempted(requests) == []
        await receive(requests[2:])
        assert list_preempted(requests) == [0, 1]
        await finish(*requests[:2])
        async with begin(LimitedTransfer(limiter, LARGE)) as [paused]:
            assert paused.slot is None  # although two slots are free
            await finish(requests[2])
            assert paused.slot is not None


@pytest.mark.parametrize("size", [TINY, SMALL])
async def test_one_request_of_a_larger_transfer_gives_way_to_each_transfer_that_begins(size: int) -> None:
    limiter = build_limiter(4)
    first, second = build_transfers(limiter, LARGE, LARGE)
    async with begin(first, second) as begun:
        await receive(begun)
        # The last ones wait for a slot themselves.
        async with begin(first, second, first, second) as others:
            large = [*begun, *others]
            async with begin(*[LimitedTransfer(limiter, size)] * 2) as [small, _]:
                await check(limiter, large)
                assert len(list_preempted(large)) == 1
                await finish(large[list_preempted(large)[0]])
                assert small.slot is not None


async def test_tiny_file_pauses_nothing() -> None:
    limiter = build_limiter(2)
    async with begin(*build_transfers(limiter, LARGE, TINY)) as requests:
        await check(limiter, requests, times=CHECKS_IN_WINDOW)
        assert list_preempted(requests) == []


async def test_request_that_cannot_pause_is_not_preempted() -> None:
    limiter = build_limiter(2)
    async with begin(*build_transfers(limiter, LARGE, LARGE - 1)) as requests:
        for request in requests:
            assert request.slot is not None
            request.slot.can_pause = request is requests[1]
        async with begin(LimitedTransfer(limiter, TINY)):
            assert list_preempted(requests) == [1]


async def test_transfers_of_one_size_class_preempt_nothing_and_go_by_their_order() -> None:
    limiter = build_limiter(1)
    transfers = [LimitedTransfer(limiter, SMALL, order=(0.0, number, "")) for number in (9, 5, 1)]
    async with begin(*transfers) as requests:
        await check(limiter, requests)
        assert list_preempted(requests) == []
        await finish(requests[0])
        assert list_holders(requests) == [2]


async def test_slow_small_file_does_not_pause_larger_ones() -> None:
    limiter = build_limiter(2)
    async with begin(*build_transfers(limiter, SMALL, LARGE)) as requests:
        await receive(requests[:1], PROVING_BYTES)
        assert list_holders(requests) == [0, 1]
        await check(limiter, requests)
        assert list_preempted(requests) == [1]
        await finish(requests[1])
        async with begin(LimitedTransfer(limiter, LARGE)) as [large]:
            await check(limiter, requests, SLOW_BYTES // CHECKS_IN_WINDOW, CHECKS_IN_WINDOW)
            assert list_holders([large]) == []
            await check(limiter, requests, SLOW_BYTES // CHECKS_IN_WINDOW - 1, CHECKS_IN_WINDOW)
            assert list_holders([large]) == [0]
            await check(limiter, requests, 2 * SLOW_BYTES // CHECKS_IN_WINDOW - 1, CHECKS_IN_WINDOW)
            assert list_preempted([large]) == []
            await check(limiter, [*requests, large], 2 * SLOW_BYTES // CHECKS_IN_WINDOW, CHECKS_IN_WINDOW)
            assert list_preempted([large]) == [0]


async def test_transfer_that_paused_long_has_one_request_beside_smaller_ones_for_as_long() -> None:
    limiter = build_limiter(2)
    small, large = build_transfers(limiter, SMALL, LARGE)
    async with begin(small, *[large] * 2) as requests:
        await receive(requests[:1])
        await finish(requests[1])
        async with begin(large) as [again]:
            aged = [requests[2], again]
            await check(limiter, requests[:1], times=CHECKS_UNTIL_AGED - 1)
            assert list_holders(aged) == []
            await check(limiter, requests[:1])
            assert list_holders(aged) == [0]
            await check(limiter, [*requests[:1], *aged], times=CHECKS_UNTIL_AGED - 1)
            assert (list_holders(aged), list_preempted(aged)) == ([0], [])
            await check(limiter, [*requests[:1], *aged])
            assert list_preempted(aged) == [0]


async def test_one_transfer_at_a_time_receives_beside_smaller_ones() -> None:
    limiter = build_limiter(3)
    transfers = build_transfers(limiter, SMALL, LARGE, LARGE)
    async with begin(*transfers) as requests:
        await receive(requests[:1])
        await finish(*requests[1:])
        async with begin(*transfers[1:]) as large:
            await check(limiter, requests[:1], times=CHECKS_UNTIL_AGED)
            assert list_holders(large) == [0]
            await check(limiter, [*requests, *large], times=CHECKS_UNTIL_AGED)
            assert list_preempted(large) == [0]
            await finish(large[0])
            await check(limiter, requests[:1])
            assert list_holders(large) == [1]


async def test_time_of_pausing_counts_also_if_it_is_interrupted() -> None:
    limiter = build_limiter(2)
    small, large = build_transfers(limiter, SMALL, LARGE)
    for _ in range(2):
        async with begin(small, large) as requests:
            await receive(requests[:1])
            await finish(requests[1])
            async with begin(large):
                await check(limiter, requests[:1], times=CHECKS_UNTIL_AGED // 2)
                await finish(requests[0])
    assert large.has_waited_long


async def test_error_in_a_listener_does_not_end_the_checks() -> None:
    limiter = Limiter(1)
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))

    def fail(_: bool) -> None:
        raise BrokenPipeError

    async with begin(LimitedTransfer(limiter, SMALL, on_stalled=fail), LimitedTransfer(limiter, SMALL)) as requests:
        await wait_until_async(lambda: list_holders(requests) == [0, 1])
    assert {type(error) for error in errors} == {BrokenPipeError}


def test_capacity_of_zero_raises_value_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limiter(0)
