"""A limit on concurrent requests, shared by the transfers of one event loop."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple


class Rank(NamedTuple):
    """The priority of a transfer; slots are granted to the lowest rank first.

    Only ``size_class`` allows preemption of a transfer that holds a slot; ``order`` ranks waiting transfers only.
    """

    size_class: int
    order: tuple[float, int, str] = (0.0, 0, "")


@dataclass(eq=False)
class Slot:
    """Permission for one request.

    ``is_preempted``: the holder should release it after the chunk in progress. Threads may read it.
    """

    rank: Rank
    is_preempted: bool = False


@dataclass(order=True)
class _Waiter:
    """A transfer that waits for a slot; ``number`` orders those of one rank."""

    rank: Rank
    number: int
    slot: "asyncio.Future[Slot]" = field(compare=False)


class Limiter:
    """A priority semaphore with ``capacity`` slots, granted by rank (lowest first), then first come, first served.

    A small file does not wait until a large file's request ends: it marks the slot of the largest file as preempted,
    and the holder releases that early. Not thread-safe.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("The capacity must be at least 1.")
        self._free = capacity
        self._numbers = itertools.count()
        self._waiting: list[_Waiter] = []
        self._held: set[Slot] = set()

    @property
    def has_waiters(self) -> bool:
        """Whether a transfer is waiting for a slot."""
        return any(not waiter.slot.done() for waiter in self._waiting)

    async def acquire(self, rank: Rank) -> Slot:
        """Wait for a slot, preempting a larger file's if none is free, and return it. The caller must release it."""
        if self._free:
            self._free -= 1
            return self._grant_slot(rank)
        granted: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, _Waiter(rank, next(self._numbers), granted))
        self._preempt_largest(rank)
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release(granted.result())  # it was granted at the moment of cancellation
            raise

    def release(self, slot: Slot) -> None:
        """Release a slot, exactly once, and grant a new one to the next waiting transfer."""
        self._held.discard(slot)
        while self._waiting:
            waiter = heappop(self._waiting)
            if not waiter.slot.done():
                waiter.slot.set_result(self._grant_slot(waiter.rank))
                return
        self._free += 1

    def _grant_slot(self, rank: Rank) -> Slot:
        """Create a slot and record it as held."""
        slot = Slot(rank)
        self._held.add(slot)
        return slot

    def _preempt_largest(self, rank: Rank) -> None:
        """Mark the slot of the highest rank as preempted, among those with a larger ``size_class`` that are not yet."""
        larger = [slot for slot in self._held if slot.rank.size_class > rank.size_class and not slot.is_preempted]
        if larger:
            max(larger, key=lambda slot: slot.rank).is_preempted = True


@dataclass(frozen=True)
class RequestQueue:
    """A limiter together with the rank of one transfer."""

    limiter: Limiter
    rank: Rank

    @asynccontextmanager
    async def acquire_slot(self) -> AsyncIterator[Slot]:
        """Hold a slot while the block runs."""
        slot = await self.limiter.acquire(self.rank)
        try:
            yield slot
        finally:
            self.limiter.release(slot)
