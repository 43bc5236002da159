"""One transfer at a limiter of requests: its size class, whether its store sends, and how long it has waited."""

from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

_KIBIBYTE = 1024
_MEBIBYTE = 1024 * 1024
# Upper bounds, in bytes that are left, of the size classes.
SIZE_CLASSES = tuple(mebibytes * _MEBIBYTE for mebibytes in (1, 8, 64, 512, 4096))
# How often a limiter checks what its requests receive; all times below are counts of checks.
CHECK_SECONDS = 0.25
# A request is stalled after so many checks in a row that find so few new bytes; before its first byte, sooner.
QUIET_BYTES = 2 * _KIBIBYTE
CHECKS_UNTIL_STALLED = 8
CHECKS_FOR_FIRST_BYTE = 3
# What a request has to receive until its transfer gets others beside it.
PROVING_BYTES = 16 * _KIBIBYTE
# A transfer that receives less in so many checks is slow, until it receives twice as much.
SLOW_BYTES = 256 * _KIBIBYTE
CHECKS_IN_WINDOW = 8
# So long has a transfer to pause until it may receive beside smaller ones, for as long.
CHECKS_UNTIL_AGED = round(120 / CHECK_SECONDS)


def get_size_class(remaining: int) -> int:
    """Return the class of a transfer with so many bytes left: 0 for at most 1 MiB."""
    return bisect_left(SIZE_CLASSES, remaining)


def _do_nothing(_: bool) -> None:
    """Do nothing: the default of ``on_stalled``."""


class RequestLimit(Protocol):
    """What a transfer needs of the limiter of its requests, ``transfer.limiter.Limiter``."""

    first_byte_checks: int  # how many checks the first byte of a request took last

    async def acquire(self, transfer: "LimitedTransfer") -> "Slot":
        """Wait for a slot and return it."""

    def release(self, slot: "Slot") -> None:
        """Release a slot."""

    def update(self) -> None:
        """Grant and preempt slots as the transfers' states require."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call a function in the event loop. Thread-safe."""

    @property
    def has_next(self) -> bool:
        """Whether a request that waits would get a slot that is released now."""


@dataclass(eq=False)
class Slot:
    """Permission for one request of a transfer.

    Its holder, perhaps in another thread, sets ``is_reading`` before it waits for bytes, adds those that arrive, and
    releases the slot after a chunk if ``is_preempted``, unless it has cleared ``can_pause``. A probe, the first request
    after a failure, counts as stalled until it receives something.
    """

    transfer: "LimitedTransfer"
    is_probe: bool = False
    can_pause: bool = True
    is_preempted: bool = False
    is_reading: bool = False
    received: int = 0
    is_stalled: bool = False
    _checks: int = 0
    _quiet_checks: int = 0
    _counted: int = 0

    def __post_init__(self) -> None:
        self.is_stalled = self.is_probe

    def add_received(self, count: int) -> None:
        """Count bytes that have arrived, before the holder of the slot waits for anything else. Thread-safe.

        After ``PROVING_BYTES``, the transfer counts as one whose store sends.
        """
        self.received += count
        self.is_reading = False
        if self.received >= PROVING_BYTES and not self.transfer.is_proven:
            self.transfer.prove_later()

    def check_progress(self) -> int:
        """Note whether the request is stalled, and return the bytes received since the last check.

        One whose holder does other things, such as waiting for a bandwidth limit or its disk, is not.
        """
        count = self.take_count()
        self._checks += 1
        is_quiet = self.is_reading and count < QUIET_BYTES
        self._quiet_checks = self._quiet_checks + 1 if is_quiet else 0
        if self.received:
            self.is_stalled = self._quiet_checks >= CHECKS_UNTIL_STALLED
        else:
            usual = self.transfer.limiter.first_byte_checks
            self.is_stalled = self.is_probe or self._quiet_checks >= max(CHECKS_FOR_FIRST_BYTE, 2 * usual)
        return count

    def take_count(self) -> int:
        """Return the bytes received since the last call; the limiter gets the number of checks until the first ones."""
        before, self._counted = self._counted, self.received
        if before == 0 and self._counted:
            self.transfer.limiter.first_byte_checks = self._checks
        return self._counted - before


@dataclass(eq=False)
class LimitedTransfer:
    """A transfer whose requests share a limiter with those of others.

    ``remaining`` bytes are left of it, with the ``following`` ones of the same model, whose files come one by one;
    ``order`` decides among those of one size class. ``on_stalled`` is called on the event loop with True once all its
    requests are stalled, and with False when they are not any more. Bound to the limiter's event loop.
    """

    limiter: RequestLimit
    remaining: int
    following: int = 0
    order: tuple[float, int, str] = (0.0, 0, "")
    on_stalled: Callable[[bool], None] = _do_nothing
    slots: list[Slot] = field(default_factory=list, init=False)
    is_proven: bool = field(default=False, init=False)  # the store sends: bytes arrived since the last failure
    has_failed: bool = field(default=False, init=False)  # since bytes arrived
    is_aged: bool = field(default=False, init=False)  # it has paused for long, and receives beside smaller ones
    _is_slow: bool = field(default=False, init=False)
    _is_stalled: bool = field(default=False, init=False)
    _checks_paused: int = field(default=0, init=False)
    _window: list[int] = field(default_factory=list, init=False)  # bytes received, for each check

    @property
    def size_class(self) -> int:
        """Return the class of the bytes that are left."""
        return get_size_class(self.remaining)

    @property
    def has_all_requests(self) -> bool:
        """Whether it has as many requests as it may now: one at a time, until its store has shown that it sends."""
        return bool(self.slots) and (not self.is_proven or self.size_class == 0)

    @property
    def has_waited_long(self) -> bool:
        """Whether it has paused for so long that it may receive beside smaller ones."""
        return self._checks_paused >= CHECKS_UNTIL_AGED

    @property
    def pauses_larger(self) -> bool:
        """Whether larger transfers pause for it; for one of at most 1 MiB, a pause would cost more than it weighs."""
        return bool(self.slots) and self.is_proven and self.size_class > 0 and not self._is_slow

    @asynccontextmanager
    async def acquire_slot(self) -> AsyncIterator[Slot]:
        """Hold a slot while the block runs."""
        slot = await self.limiter.acquire(self)
        try:
            yield slot
        finally:
            self.limiter.release(slot)

    def add_slot(self) -> Slot:
        """Add a slot for another request; called by the limiter."""
        if not self.slots:
            self._window, self._is_slow = [], False
        self.slots.append(Slot(self, is_probe=self.has_failed))
        return self.slots[-1]

    def remove_slot(self, slot: Slot) -> None:
        """Remove the slot of a request that has ended; called by the limiter."""
        self.slots.remove(slot)
        self._add_to_window(slot.take_count())
        if not self.slots:
            self._note_stalled(is_stalled=False)

    def note_failure(self) -> None:
        """Note that a request failed: until bytes arrive again, there is one request at a time, without a pause."""
        self.is_proven, self.has_failed = False, True

    def prove_later(self) -> None:
        """Note on the event loop that the store sends. Thread-safe."""
        self.limiter.call_soon(self._prove)

    def list_preemptible(self) -> list[Slot]:
        """Return the slots that can be preempted and would become free by it; an aged transfer keeps one."""
        receiving = [slot for slot in self.slots if slot.can_pause and not slot.is_preempted and not slot.is_stalled]
        return receiving[1:] if self.is_aged else receiving

    def check_progress(self, *, is_paused: bool) -> None:
        """Count what its requests receive, and how long it pauses; called at each check while it has any request."""
        received = sum(slot.check_progress() for slot in self.slots)
        is_stalled = bool(self.slots) and all(slot.is_stalled for slot in self.slots)
        if is_stalled:
            self.is_proven = False
            for slot in self.slots[1:]:
                slot.is_preempted = True  # it ends with the next bytes, if any come
        self._note_stalled(is_stalled=is_stalled and not self.has_failed)
        self._count_pause(is_paused=is_paused)
        if self.slots:
            self._window.append(0)
            self._add_to_window(received)
            del self._window[:-CHECKS_IN_WINDOW]
            enough = 2 * SLOW_BYTES if self._is_slow else SLOW_BYTES
            self._is_slow = len(self._window) == CHECKS_IN_WINDOW and sum(self._window) < enough

    def _prove(self) -> None:
        """Note that the store sends, unless all requests have ended meanwhile."""
        if self.slots and not self.is_proven:
            self.is_proven, self.has_failed = True, False
            self.limiter.update()

    def _add_to_window(self, count: int) -> None:
        """Add bytes to those of the newest check, if there was one."""
        if self._window:
            self._window[-1] += count

    def _count_pause(self, *, is_paused: bool) -> None:
        """Count a check of pausing, or one of receiving, which takes one back."""
        if self.slots:
            self._checks_paused = max(0, self._checks_paused - 1)
        elif is_paused:
            self._checks_paused = min(CHECKS_UNTIL_AGED, self._checks_paused + 1)
        self.is_aged = self.is_aged and self._checks_paused > 0

    def _note_stalled(self, *, is_stalled: bool) -> None:
        """Call ``on_stalled`` if that has changed."""
        if is_stalled != self._is_stalled:
            self._is_stalled = is_stalled
            self.on_stalled(is_stalled)
