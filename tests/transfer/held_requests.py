"""Requests that hold slots of a limiter until a test ends them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from modelyard.transfer.limited_transfer import (
    SIZE_CLASSES,
    SLOW_BYTES,
    LimitedTransfer,
    Slot,
)
from modelyard.transfer.limiter import Limiter

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
