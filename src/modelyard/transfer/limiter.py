"""A limit on concurrent requests, shared by the transfers of one event loop: who has least left goes first."""

import asyncio
import itertools
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

_MEBIBYTE = 1024 * 1024
# Upper bounds, in bytes that are left, of the size classes: requests of a lower class have priority.
SIZE_CLASSES = tuple(mebibytes * _MEBIBYTE for mebibytes in (1, 8, 64, 512, 4096))
# So many seconds of waiting lower a transfer's class by one, and so many of receiving raise it again.
AGEING_SECONDS = 120.0
# How often the progress of requests is looked at. One that has not received its first byte at the third check takes no
# slot any more, nor does one that has received less than ``STALLED_BYTES`` in a window of checks. One that has received
# less than ``SLOW_BYTES`` no longer pauses larger transfers, since it is not the line that limits it.
CHECK_SECONDS = 0.25
CHECKS_FOR_FIRST_BYTE = 3
CHECKS_IN_WINDOW = 8
STALLED_BYTES = _MEBIBYTE // 64
SLOW_BYTES = _MEBIBYTE // 4
# Stalled requests beside those that have a slot, as a multiple of the slots.
_MAX_STALLED = 8


def _do_nothing(_: bool) -> None:
    """Do nothing: the default of ``on_stalled``."""


class Rank(NamedTuple):
    """The priority of a request; the lowest goes first. Only ``size_class`` makes others pause."""

    size_class: int
    order: tuple[float, int, str] = (0.0, 0, "")


@dataclass(eq=False)
class Slot:
    """Permission for one request of a transfer, with the ``rank`` by which it was granted.

    ``is_preempted``: the holder should release it after the chunk in progress. Threads may read it, and add to
    ``received``, the bytes that the request has received.
    """

    transfer: "RequestQueue"
    rank: Rank
    is_preempted: bool = False
    received: int = 0
    is_slow: bool = False
    is_stalled: bool = False
    _checks: int = 0
    _received_before: int = 0

    def check_progress(self) -> None:
        """Note whether the first byte has come and, at the end of each window of checks, how many came in it."""
        self._checks += 1
        if self._checks % CHECKS_IN_WINDOW == 0:
            count, self._received_before = self.received - self._received_before, self.received
            self.is_stalled, self.is_slow = count < STALLED_BYTES, count < SLOW_BYTES
        elif self.received == 0:
            self.is_stalled = self._checks >= CHECKS_FOR_FIRST_BYTE


@dataclass(eq=False)
class _Waiter:
    """A request that waits for a slot; ``number`` orders those of one rank."""

    transfer: "RequestQueue"
    number: int
    granted: "asyncio.Future[Slot]" = field(repr=False)

    @property
    def place(self) -> tuple[Rank, int]:
        """Return where it stands now in the order of those that wait."""
        return self.transfer.compute_rank(), self.number


class Limiter:
    """``capacity`` slots for requests, granted by rank: lowest first, then first come, first served.

    A transfer that has less left does not wait for a larger one. Of one with at most 1 MiB, only the slot of the
    largest is preempted; all others make larger transfers pause until they have ended, so that they get the whole
    line. Requests that receive next to nothing take no slot, and slow ones make nobody pause. Not thread-safe.
    """

    def __init__(self, capacity: int, get_seconds: Callable[[], float] = time.monotonic) -> None:
        if capacity < 1:
            raise ValueError("The capacity must be at least 1.")
        self.get_seconds = get_seconds
        self._capacity = capacity
        self._numbers = itertools.count()
        self._waiting: list[_Waiter] = []
        self._held: set[Slot] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_next(self) -> bool:
        """Whether a request that waits would get a slot that is released now."""
        return any(not self._is_paused(waiter.transfer.compute_rank()) for waiter in self._waiting)

    async def acquire(self, transfer: "RequestQueue") -> Slot:
        """Wait for a slot, preempting those of larger transfers, and return it. The caller must release it."""
        waiter = _Waiter(transfer, next(self._numbers), asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._grant()
        self._preempt_larger(transfer.compute_rank(), has_slot=waiter.granted.done())
        self._check_later()
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self.release(waiter.granted.result())  # it was granted at the moment of cancellation
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def release(self, slot: Slot) -> None:
        """Release a slot, exactly once, and grant slots to those that wait and may begin now."""
        self._held.remove(slot)
        self._grant()

    def check_progress(self) -> None:
        """Note which requests are stalled or slow, and grant what they free; called every ``CHECK_SECONDS``."""
        for slot in self._held:
            slot.check_progress()
        for transfer in {slot.transfer for slot in self._held}:
            transfer.note_stalled(all(slot.is_stalled for slot in self._held if slot.transfer is transfer))
        self._grant()
        if self._waiting:
            self._preempt_larger(min(waiter.place for waiter in self._waiting)[0], has_slot=False)

    def _grant(self) -> None:
        """Grant slots to the first that wait, as long as one is free and they need not pause."""
        while self._waiting and self._count_free() > 0:
            waiter = min(self._waiting, key=lambda waiter: waiter.place)
            rank = waiter.transfer.compute_rank()
            if self._is_paused(rank):
                return
            self._waiting.remove(waiter)
            if not waiter.granted.done():
                slot = Slot(waiter.transfer, rank)
                self._held.add(slot)
                waiter.granted.set_result(slot)

    def _count_free(self) -> int:
        """Return how many slots are free; those of stalled requests count as free, up to a limit."""
        stalled = sum(slot.is_stalled for slot in self._held)
        return self._capacity - len(self._held) + min(stalled, _MAX_STALLED * self._capacity)

    def _is_paused(self, rank: Rank) -> bool:
        """Return whether a request has to wait because a smaller transfer uses the line."""
        return any(0 < slot.transfer.size_class < rank.size_class and not slot.is_slow for slot in self._held)

    def _preempt_larger(self, rank: Rank, *, has_slot: bool) -> None:
        """Preempt larger transfers: all of their slots, or for the smallest class as many as requests wait."""
        if self._is_paused(rank):
            return
        preempted = sum(slot.is_preempted for slot in self._held)
        larger = [slot for slot in self._held if slot.rank.size_class > rank.size_class and not slot.is_preempted]
        if rank.size_class == 0:
            needed = 0 if has_slot else max(0, len(self._waiting) - preempted)
            larger = sorted(larger, key=lambda slot: slot.rank, reverse=True)[:needed]
        for slot in larger:
            slot.is_preempted = True

    def _check_later(self) -> None:
        """Check the progress after ``CHECK_SECONDS``, again and again as long as requests wait or have a slot."""
        if self._timer is None and (self._waiting or self._held):
            self._timer = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check_now)

    def _check_now(self) -> None:
        """Check the progress, and schedule the next check."""
        self._timer = None
        self.check_progress()
        self._check_later()


@dataclass(eq=False)
class RequestQueue:
    """The requests of one transfer at a limiter.

    ``remaining`` bytes are left of it, with the ``following`` ones of the same model, whose files come one by one.
    One that waits long ages: its class is lowered until it has received for as long. While ``is_failing``, it comes
    after all others. ``on_stalled`` is called on the event loop with True when all requests that have a slot are found
    stalled, and with False when they are not any more. Bound to the limiter's event loop.
    """

    limiter: Limiter
    remaining: int
    following: int = 0
    order: tuple[float, int, str] = (0.0, 0, "")
    on_stalled: Callable[[bool], None] = _do_nothing
    is_failing: bool = False

    def __post_init__(self) -> None:
        self._is_stalled = False
        self._waiting = self._held = 0
        self._seconds_waited = 0.0
        self._counted_until = self.limiter.get_seconds()

    @property
    def size_class(self) -> int:
        """Return the class of the bytes that are left; one above all others while requests fail."""
        return len(SIZE_CLASSES) + 1 if self.is_failing else bisect_left(SIZE_CLASSES, self.remaining)

    def compute_rank(self) -> Rank:
        """Return the priority of its requests now."""
        self._count_waiting()
        aged = self.size_class - int(self._seconds_waited / AGEING_SECONDS)
        return Rank(self.size_class if self.is_failing else max(aged, min(1, self.size_class)), self.order)

    def note_stalled(self, is_stalled: bool) -> None:
        """Call ``on_stalled`` if that has changed."""
        if is_stalled != self._is_stalled:
            self._is_stalled = is_stalled
            self.on_stalled(is_stalled)

    @asynccontextmanager
    async def acquire_slot(self) -> AsyncIterator[Slot]:
        """Hold a slot while the block runs."""
        self._count_waiting()
        self._waiting += 1
        try:
            slot = await self.limiter.acquire(self)
        finally:
            self._count_waiting()
            self._waiting -= 1
        self._held += 1
        try:
            yield slot
        finally:
            self._count_waiting()
            self._held -= 1
            self.limiter.release(slot)

    def _count_waiting(self) -> None:
        """Add the seconds since the last call in which all its requests waited, or subtract those of receiving."""
        now = self.limiter.get_seconds()
        elapsed, self._counted_until = now - self._counted_until, now
        if self._held:
            self._seconds_waited = max(0.0, self._seconds_waited - elapsed)
        elif self._waiting:
            self._seconds_waited += elapsed
