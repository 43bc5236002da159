"""The order in which the limiter grants slots: which pause for others, and what failing and stalled requests take."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from modelyard.transfer.limiter import (
    AGEING_SECONDS,
    CHECKS_FOR_FIRST_BYTE,
    CHECKS_IN_WINDOW,
    SIZE_CLASSES,
    SLOW_BYTES,
    STALLED_BYTES,
    Limiter,
    RequestQueue,
    Slot,
)

TINY, SMALL, LARGE = 1000, SIZE_CLASSES[1], SIZE_CLASSES[-1] + 1


@dataclass
class SettableClock:
    """Seconds that a test sets."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class HeldRequest:
    """A request that holds its slot until ``end`` is set; ``slot`` is None while it waits."""

    transfer: RequestQueue
    slot: Slot | None = None
    end: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with self.transfer.acquire_slot() as self.slot:
            await self.end.wait()
        self.slot = None


@asynccontextmanager
async def begin(*transfers: RequestQueue) -> AsyncIterator[list[HeldRequest]]:
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
    for _ in range(5):
        await asyncio.sleep(0)


async def finish(request: HeldRequest) -> None:
    request.end.set()
    await let_run()


def list_holders(requests: list[HeldRequest]) -> list[int]:
    """Return the indices of the requests that have a slot."""
    return [number for number, request in enumerate(requests) if request.slot is not None]


def list_preempted(requests: list[HeldRequest]) -> list[int]:
    return [number for number, request in enumerate(requests) if request.slot is not None and request.slot.is_preempted]


async def test_limiter_grants_slots_to_who_has_least_left() -> None:
    limiter, order = Limiter(1), list[int]()

    async def request(remaining: int) -> None:
        async with RequestQueue(limiter, remaining).acquire_slot():
            order.append(remaining)
            await asyncio.sleep(0)

    sizes = [*SIZE_CLASSES, LARGE]
    async with asyncio.TaskGroup() as group:
        for remaining in (LARGE, *reversed(sizes)):
            group.create_task(request(remaining))

    assert order == [LARGE, *sizes]  # the first came when all was free


async def test_limiter_cancelled_waiter_slot_is_granted_to_next_waiter() -> None:
    limiter = Limiter(1)
    transfers = [RequestQueue(limiter, TINY) for _ in range(3)]
    async with begin(transfers[0]) as [first]:
        leaving, staying = (asyncio.create_task(limiter.acquire(each)) for each in transfers[1:])
        await let_run()

        first.end.set()
        leaving.cancel()  # in the moment in which it gets the turn
        await asyncio.wait([leaving, staying])

        assert staying.result().transfer is transfers[2]
        assert not limiter.has_next


async def test_limiter_tiny_file_preempts_one_of_the_largest() -> None:
    limiter = Limiter(2)
    async with begin(*(RequestQueue(limiter, remaining) for remaining in (LARGE, SMALL + 1, TINY))) as requests:
        assert list_preempted(requests) == [0]
        await finish(requests[0])
        assert list_holders(requests) == [1, 2]


async def test_limiter_larger_transfers_pause_until_a_small_one_has_ended() -> None:
    limiter = Limiter(3)
    async with begin(*(RequestQueue(limiter, remaining) for remaining in (LARGE, LARGE, SMALL))) as requests:
        assert list_preempted(requests) == [0, 1]
        for request in requests[:2]:
            await finish(request)
        async with begin(RequestQueue(limiter, LARGE)) as [paused]:
            assert paused.slot is None  # although two slots are free
            await finish(requests[2])
            assert paused.slot is not None


async def test_limiter_one_size_class_preempts_nothing() -> None:
    limiter = Limiter(1)
    async with begin(*(RequestQueue(limiter, SMALL, order=(0.0, number, "")) for number in (9, 1))) as requests:
        assert list_preempted(requests) == []
        await finish(requests[0])
        assert list_holders(requests) == [1]


async def test_limiter_failing_transfer_comes_after_all_others() -> None:
    limiter = Limiter(1)
    failing = RequestQueue(limiter, TINY, is_failing=True)
    async with begin(RequestQueue(limiter, LARGE), failing, RequestQueue(limiter, LARGE)) as requests:
        assert list_preempted(requests) == []
        await finish(requests[0])
        assert list_holders(requests) == [2]


async def check_window(limiter: Limiter, requests: Sequence[HeldRequest] = (), *received: int) -> None:
    """Check the progress as often as a window has checks, in which the requests that have a slot receive so much."""
    for request, count in zip(requests, received, strict=False):
        if request.slot is not None:
            request.slot.received += count
    for _ in range(CHECKS_IN_WINDOW):
        limiter.check_progress()
        await let_run()


async def test_limiter_request_without_first_byte_takes_no_slot() -> None:
    limiter = Limiter(1)
    async with begin(*(RequestQueue(limiter, SMALL) for _ in range(2))) as requests:
        for holders in (*[[0]] * (CHECKS_FOR_FIRST_BYTE - 1), [0, 1]):
            limiter.check_progress()
            await let_run()
            assert list_holders(requests) == holders


async def test_limiter_stalled_request_takes_no_slot_until_it_receives_again() -> None:
    limiter, stalls = Limiter(1), list[bool]()
    stalled = RequestQueue(limiter, SMALL, on_stalled=stalls.append)
    transfers = (stalled, RequestQueue(limiter, LARGE), RequestQueue(limiter, LARGE))
    async with begin(*transfers) as requests:
        for received, holders, expected in (
            (STALLED_BYTES, [0], []),
            (STALLED_BYTES - 1, [0, 1], [True]),
            (STALLED_BYTES, [0, 1], [True, False]),
        ):
            await check_window(limiter, requests, received, STALLED_BYTES)
            assert (list_holders(requests), stalls) == (holders, expected)
        await finish(requests[1])
        assert list_holders(requests) == [0]


async def test_limiter_stalled_requests_are_limited() -> None:
    limiter = Limiter(1)
    async with begin(*(RequestQueue(limiter, SMALL) for _ in range(20))) as requests:
        for _ in range(20):
            await check_window(limiter)
        assert len(list_holders(requests)) == 9


async def test_limiter_slow_small_file_does_not_pause_larger_ones() -> None:
    limiter = Limiter(2)
    async with begin(RequestQueue(limiter, SMALL), RequestQueue(limiter, LARGE)) as requests:
        for received, holders in ((SLOW_BYTES, [0]), (SLOW_BYTES, [0]), (SLOW_BYTES - 1, [0, 1])):
            await check_window(limiter, requests, received, SLOW_BYTES)
            assert list_holders(requests) == holders


async def test_limiter_transfer_that_waited_long_is_no_longer_paused_until_it_received_for_as_long() -> None:
    clock = SettableClock()
    limiter = Limiter(2, clock)
    large = RequestQueue(limiter, LARGE)
    async with begin(RequestQueue(limiter, SMALL), large) as requests:
        for holders in ([0], [0, 1]):
            await check_window(limiter, requests, SLOW_BYTES, SLOW_BYTES)
            assert list_holders(requests) == holders
            clock.seconds += AGEING_SECONDS * len(SIZE_CLASSES)
        await check_window(limiter, requests, SLOW_BYTES, SLOW_BYTES)
        # Small ones are not made to pause by it, nor does another small one make it pause again before that time.
        async with begin(RequestQueue(limiter, SMALL)) as [another]:
            assert another.slot is None
            await finish(requests[0])
            assert another.slot is not None


def test_limiter_capacity_zero_raises_value_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limiter(0)
