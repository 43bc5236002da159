"""A limit on concurrent requests, shared by the transfers of one event loop: the one that has least left goes first."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from modelyard.transfer.limited_transfer import CHECK_SECONDS, LimitedTransfer, Slot

# Stalled requests beside those that take a slot.
MAX_STALLED = 32


@dataclass(eq=False)
class _Waiter:
    """A request that waits for a slot; ``number`` orders those of one transfer and of equal ones."""

    transfer: LimitedTransfer
    number: int
    granted: "asyncio.Future[Slot]" = field(repr=False)

    @property
    def place(self) -> tuple[bool, int, tuple[float, int, str], int]:
        """Return where it stands now in the order of those that wait."""
        return not self.transfer.is_aged, self.transfer.size_class, self.transfer.order, self.number


class Limiter:
    """``capacity`` slots for requests: for those of the lowest size class first. Not thread-safe, except ``call_soon``.

    - While a transfer receives, those of higher size classes pause: their requests are preempted, and wait.
    - A request that may begin takes over the slot of one of a higher class, if no slot is free.
    - One transfer at a time that has paused for long has a request beside those for which it would pause.
    - Stalled requests take no slot, and preempt none.

    ``check_seconds``: how often it checks what requests receive.
    """

    def __init__(self, capacity: int, check_seconds: float = CHECK_SECONDS) -> None:
        if capacity < 1:
            raise ValueError("The capacity must be at least 1.")
        self._capacity = capacity
        self._check_seconds = check_seconds
        self._numbers = itertools.count()
        self._waiting: list[_Waiter] = []
        self._held: list[Slot] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.first_byte_checks = 0

    @property
    def has_next(self) -> bool:
        """Whether a request that waits would get a slot that is released now."""
        return any(self._may_begin(waiter.transfer) for waiter in self._waiting)

    async def acquire(self, transfer: LimitedTransfer) -> Slot:
        """Wait for a slot and return it; the caller must release it.

        Others may get slots too, or be asked to give theirs up. Checks of the progress run from now on.
        """
        self._loop = asyncio.get_running_loop()
        waiter = _Waiter(transfer, next(self._numbers), self._loop.create_future())
        self._waiting.append(waiter)
        self.update()
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
        slot.transfer.remove_slot(slot)
        self.update()

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call a function in the event loop. Thread-safe."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(callback)

    def check_progress(self) -> None:
        """Note which requests are stalled, and which transfers are slow or have waited long; then ``update``."""
        transfers = dict.fromkeys((*self._list_active(), *(waiter.transfer for waiter in self._waiting)))
        for transfer in transfers:
            transfer.check_progress(is_paused=self._is_paused(transfer))
        # One at a time, so that most of the line stays with smaller ones; with one slot in all, none.
        aged = [each for each in transfers if each.has_waited_long]
        if aged and self._capacity > 1 and not any(each.is_aged for each in transfers):
            min(aged, key=_get_rank).is_aged = True
        self.update()

    def update(self) -> None:
        """Grant free slots, and preempt requests of transfers that have to pause or to give way."""
        while (waiter := self._find_next()) is not None:
            self._waiting.remove(waiter)
            if not waiter.granted.done():
                self._grant(waiter)
        for transfer in self._list_active():
            if self._is_paused(transfer):
                for slot in transfer.list_preemptible():
                    slot.is_preempted = True
        self._make_room()

    def _grant(self, waiter: _Waiter) -> None:
        """Give a slot to a request that waits."""
        slot = waiter.transfer.add_slot()
        self._held.append(slot)
        waiter.granted.set_result(slot)

    def _make_room(self) -> None:
        """Preempt one request of a higher class for each that may begin, as long as no slot becomes free soon."""
        free_soon = self._count_free() + sum(slot.is_preempted and not slot.is_stalled for slot in self._held)
        waiters = [waiter for waiter in self._iter_next() if not waiter.transfer.has_failed]
        for waiter in waiters[max(0, free_soon) :]:
            larger = [each for each in self._list_active() if each.size_class > waiter.transfer.size_class]
            slots = [slot for each in sorted(larger, key=_get_rank) for slot in each.list_preemptible()]
            if slots:
                slots[-1].is_preempted = True

    def _find_next(self) -> _Waiter | None:
        """Return the first request that gets a slot now; None if there is none, or none is free."""
        stalled = sum(slot.is_stalled for slot in self._held)
        if self._count_free() > 0:
            return next(self._iter_next(), None)
        # A probe counts as stalled.
        return next((each for each in self._iter_next() if each.transfer.has_failed and stalled < MAX_STALLED), None)

    def _iter_next(self) -> Iterator[_Waiter]:
        """Yield the requests that may begin now, in their order; only one of a transfer that may have only one."""
        single = set[LimitedTransfer]()
        for waiter in sorted(self._waiting, key=lambda waiter: waiter.place):
            transfer = waiter.transfer
            if transfer in single or not self._may_begin(transfer):
                continue
            if not transfer.is_proven or transfer.is_aged:
                single.add(transfer)
            yield waiter

    def _may_begin(self, transfer: LimitedTransfer) -> bool:
        """Return whether a transfer may have another request now."""
        if self._is_paused(transfer):
            return transfer.is_aged and not transfer.slots
        return not transfer.has_all_requests

    def _is_paused(self, transfer: LimitedTransfer) -> bool:
        """Return whether a transfer has to pause, because one of a lower class receives."""
        return any(each.pauses_larger and each.size_class < transfer.size_class for each in self._list_active())

    def _list_active(self) -> list[LimitedTransfer]:
        """Return the transfers that have slots."""
        return list(dict.fromkeys(slot.transfer for slot in self._held))

    def _count_free(self) -> int:
        """Return how many slots are free; those of stalled requests count as free, up to a limit."""
        stalled = sum(slot.is_stalled for slot in self._held)
        return self._capacity - len(self._held) + min(stalled, MAX_STALLED)

    def _check_later(self) -> None:
        """Check the progress after ``check_seconds``, again and again as long as requests wait or have a slot."""
        if self._timer is None and (self._waiting or self._held):
            self._timer = asyncio.get_running_loop().call_later(self._check_seconds, self._check_now)

    def _check_now(self) -> None:
        """Check the progress, and schedule the next check."""
        self._timer = None
        try:
            self.check_progress()
        finally:
            self._check_later()


def _get_rank(transfer: LimitedTransfer) -> tuple[int, tuple[float, int, str]]:
    """Return the order of transfers; the lowest goes first."""
    return transfer.size_class, transfer.order
