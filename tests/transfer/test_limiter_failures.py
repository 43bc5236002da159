"""What failing and stalled requests take of a limiter's slots."""

from modelyard.transfer.limited_transfer import (
    CHECKS_FOR_FIRST_BYTE,
    CHECKS_UNTIL_STALLED,
    QUIET_BYTES,
    LimitedTransfer,
)
from modelyard.transfer.limiter import MAX_STALLED
from tests.transfer.held_requests import (
    LARGE,
    SMALL,
    begin,
    build_limiter,
    build_transfers,
    check,
    finish,
    list_holders,
    list_preempted,
    receive,
)


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
