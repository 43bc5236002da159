"""The order in which the limiter grants slots: which pause for others, and what failing and stalled requests take."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from modelyard.transfer.limited_transfer import (
    CHECKS_FOR_FIRST_BYTE,
    CHECKS_IN_WINDOW,
    CHECKS_UNTIL_AGED,
    CHECKS_UNTIL_STALLED,
    PROVING_BYTES,
    QUIET_BYTES,
    SIZE_CLASSES,
    SLOW_BYTES,
    LimitedTransfer,
    Slot,
)
from modelyard.transfer.limiter import MAX_STALLED, Limiter
from tests.waiting import wait_until_async

TINY, SMALL, LARGE = 1000, SIZE_CLASSES[1], SIZE_CLASSES[-1] + 1
FAST = SLOW_BYTES  # bytes between two checks of a request that is not slow


def build_limiter(capacity: int) -> Limiter:
    """Build a limiter that checks the progress only when a test does."""
    return Limiter(capacity, check_seconds=3600)


@dataclass
class HeldRequest:
    """A request that holds its slot until ``end`` is set; ``slot`` is None while it waits and after its end."""

    transfer: LimitedTransfer
    slot: Slot | None = None
    end: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with self.transfer.acquire_slot() as self.slot:
            self.slot.is_reading = True
            await self.end.wait()
        self.slot = None


@asynccontextmanager
async def begin(*transfers: LimitedTransfer) -> AsyncIterator[list[HeldRequest]]:
    """Begin one request of each transfer, one after the other; end them all afterwards."""
    requests = [HeldRequest(transfer) for transfer in transfers]
    tasks = []
    for request in requests:
        tasks.append(asyncio.create_task(request.run()))
        await let_run()
    try:
        yield requests
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def let_run() -> None:
    """Let every task run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def finish(*requests: HeldRequest) -> None:
    for request in requests:
        request.end.set()
    await let_run()


async def receive(requests: Sequence[HeldRequest], count: int = FAST) -> None:
    """Let the requests that have a slot receive so many bytes, and read again."""
    for request in requests:
        if request.slot is not None:
            request.slot.add_received(count)
            request.slot.is_reading = True
    await let_run()


async def check(limiter: Limiter, requests: Sequence[HeldRequest] = (), count: int = FAST, times: int = 1) -> None:
    """Check the progress so many times; between two checks, these requests receive so many bytes each."""
    for _ in range(times):
        await receive(requests, count)
        limiter.check_progress()
        await let_run()


def list_holders(requests: Sequence[HeldRequest]) -> list[int]:
    """Return the indices of the requests that have a slot."""
    return [number for number, request in enumerate(requests) if request.slot is not None]


def list_preempted(requests: Sequence[HeldRequest]) -> list[int]:
    return [number for number, request in enumerate(requests) if request.slot is not None and request.slot.is_preempted]


def build_transfers(limiter: Limiter, *sizes: int) -> list[LimitedTransfer]:
    return [LimitedTransfer(limiter, size) for size in sizes]


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


async def test_transfer_that_fails_pauses_nothing_and_has_one_request_until_bytes_arrive() -> None:
    limiter = build_limiter(4)
    small, large = build_transfers(limiter, SMALL, LARGE)
    async with begin(small) as begun:
        await receive(begun)
        async with begin(*[small] * 2, large) as requests:
            assert list_holders(requests) == [0, 1]
            small.note_failure()
            await finish(*begun, *requests[:2])
            assert list_holders(requests) == [2]
            await receive(requests)
            async with begin(*[small] * 2) as again:
                assert (list_holders(again), list_preempted(requests)) == ([0], [])
                await receive(again)
                assert (list_holders(again), list_preempted(requests)) == ([0, 1], [2])


async def test_first_request_after_a_failure_takes_no_slot_until_bytes_arrive() -> None:
    limiter = build_limiter(1)
    small, large = build_transfers(limiter, SMALL, LARGE)
    small.note_failure()
    async with begin(large, small, small) as requests:
        assert (list_holders(requests), list_preempted(requests)) == ([0, 1], [])
        await check(limiter, requests[:1], times=CHECKS_UNTIL_STALLED)
        assert (list_holders(requests), list_preempted(requests)) == ([0, 1], [])
        await receive(requests)
        assert list_preempted(requests) == [0]


async def test_request_without_first_byte_takes_no_slot() -> None:
    limiter = build_limiter(1)
    async with begin(*build_transfers(limiter, SMALL, SMALL)) as requests:
        await check(limiter, times=CHECKS_FOR_FIRST_BYTE - 1)
        assert list_holders(requests) == [0]
        await check(limiter)
        assert list_holders(requests) == [0, 1]


async def test_stalled_request_takes_no_slot_until_it_receives_again() -> None:
    limiter, stalls = build_limiter(1), list[bool]()
    stalled = LimitedTransfer(limiter, SMALL, on_stalled=stalls.append)
    async with begin(stalled, *build_transfers(limiter, LARGE, LARGE)) as requests:
        await receive(requests[:1])
        await check(limiter, requests[:1], QUIET_BYTES, CHECKS_UNTIL_STALLED)
        assert (list_holders(requests), stalls) == ([0], [])
        await check(limiter, requests[:1], QUIET_BYTES - 1, CHECKS_UNTIL_STALLED)
        assert (list_holders(requests), stalls) == ([0, 1], [True])
        await check(limiter, requests[:2], QUIET_BYTES)
        assert (list_holders(requests), stalls) == ([0, 1], [True, False])
        await finish(requests[1])
        assert list_holders(requests) == [0]


async def test_request_that_receives_late_is_stalled_no_more_at_once() -> None:
    limiter = build_limiter(1)
    async with begin(*build_transfers(limiter, SMALL, SMALL, SMALL)) as requests:
        await check(limiter, times=CHECKS_FOR_FIRST_BYTE)
        assert list_holders(requests) == [0, 1]
        await check(limiter, requests)
        await check(limiter, requests, times=CHECKS_UNTIL_STALLED)
        assert list_holders(requests) == [0, 1]


async def test_request_whose_holder_does_not_read_is_not_stalled() -> None:
    limiter, stalls = build_limiter(1), list[bool]()
    async with begin(LimitedTransfer(limiter, SMALL, on_stalled=stalls.append)) as [request]:
        assert request.slot is not None
        request.slot.add_received(1)  # then it waits for a bandwidth limit, or for its disk
        await check(limiter, times=CHECKS_UNTIL_STALLED + 1)
        assert stalls == []


async def test_stalled_transfer_keeps_one_request_and_gets_no_other() -> None:
    limiter = build_limiter(2)
    transfer = LimitedTransfer(limiter, SMALL)
    async with begin(transfer) as begun:
        await receive(begun)
        async with begin(transfer, transfer) as others:
            await check(limiter, times=CHECKS_UNTIL_STALLED + 1)
            assert list_preempted([*begun, *others]) == [1, 2]
            async with begin(transfer) as [another]:
                await finish(*others)
                assert another.slot is None


async def test_first_byte_may_take_twice_as_long_as_the_last_one() -> None:
    limiter = build_limiter(1)
    async with begin(*build_transfers(limiter, SMALL, SMALL)) as requests:
        await check(limiter, times=CHECKS_UNTIL_STALLED)
        await check(limiter, requests[:1])
        await finish(*requests)
        async with begin(*build_transfers(limiter, SMALL, SMALL)) as later:
            await check(limiter, times=2 * CHECKS_UNTIL_STALLED - 1)
            assert list_holders(later) == [0]
            await check(limiter)
            assert list_holders(later) == [0, 1]


async def test_paused_transfer_is_not_stalled() -> None:
    limiter, stalls = build_limiter(1), list[bool]()
    large, small = LimitedTransfer(limiter, LARGE, on_stalled=stalls.append), LimitedTransfer(limiter, SMALL)
    async with begin(large, small) as requests:
        await check(limiter, times=CHECKS_FOR_FIRST_BYTE)
        assert stalls == [True]
        await finish(requests[0])
        assert stalls == [True, False]


async def test_stalled_requests_are_limited() -> None:
    limiter = build_limiter(1)
    async with begin(*build_transfers(limiter, *[SMALL] * (MAX_STALLED + 5))) as requests:
        await check(limiter, times=CHECKS_FOR_FIRST_BYTE * (MAX_STALLED + 5))
        assert len(list_holders(requests)) == MAX_STALLED + 1


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
