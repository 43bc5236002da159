"""What the server does by the clock: verification, second reading, clean-up, notes of used keys and silent machines."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta

from modelyard.server.cleanup.collecting import collect_garbage
from modelyard.server.cleanup.rounds import Plan
from modelyard.server.identity.operations import sweep
from modelyard.server.leases import Lease
from modelyard.server.models.holders.absence import note_absences
from modelyard.server.observed import Metrics
from modelyard.server.parts import Parts
from modelyard.server.storage.blob_store import StoreError
from modelyard.server.storage.digest import Stopped
from modelyard.server.uploads.operations import UNREAD
from modelyard.server.verification.scrubbing import Scrubber
from modelyard.server.verification.worker import Verifier
from modelyard.wire.problems import Problem

STOP_SECONDS = 10.0
# A failure that goes on is logged once in this time, and counted each time.
SAID_AGAIN_SECONDS = 60.0
log = logging.getLogger("modelyard.chores")


def _nothing() -> None: ...


@dataclass(frozen=True)
class Chore:
    """Something done again and again; ``do`` tells whether there is more to do at once, ``stop`` cuts it short."""

    name: str
    every_seconds: float
    do: Callable[[], bool]
    threads: int = 1
    stop: Callable[[], None] = _nothing
    # What is announced in this process when there is something to do before the time comes.
    wakes_on: object = None
    wake: threading.Event = field(default_factory=threading.Event)


def chores_of(parts: Parts, metrics: Metrics) -> list[Chore]:
    """All that a process does beside answering."""
    return [
        *_verification(parts, metrics),
        *_second_reading(parts, metrics),
        _clean_up(parts, metrics, "clean-up", timedelta(hours=1), is_thorough=False),
        _clean_up(parts, metrics, "sweep", timedelta(days=1), is_thorough=True),
        _key_use(parts),
        _absences(parts),
    ]


def _verification(parts: Parts, metrics: Metrics) -> list[Chore]:
    workers = parts.settings.verification_workers
    if workers == 0:
        return []
    verifier = Verifier(parts.database, parts.store, parts.trust, metrics, workers=workers)
    return [
        Chore("verification", 1.0, verifier.verify_next, threads=workers, stop=verifier.stop, wakes_on=UNREAD),
    ]


def _second_reading(parts: Parts, metrics: Metrics) -> list[Chore]:
    rate = parts.settings.scrub_rate
    if rate == 0:
        return []
    scrubber = Scrubber(parts.database, parts.store, metrics, rate)

    def scrub() -> bool:
        while scrubber.scrub_next():
            pass
        return True

    return [_alone(parts, "scrubber", timedelta(minutes=1), scrub, scrubber.stop)]


def _clean_up(parts: Parts, metrics: Metrics, name: str, every: timedelta, *, is_thorough: bool) -> Chore:
    stopping = threading.Event()

    def clean() -> bool:
        plan = Plan(is_thorough=is_thorough)
        collected = collect_garbage(parts.database, parts.store, parts.settings, plan, lambda: not stopping.is_set())
        metrics.collected.inc(collected.bytes)
        with parts.database.writing() as session:
            sweep(session)
        return collected.is_whole

    return _alone(parts, name, every, clean, stopping.set)


def _key_use(parts: Parts) -> Chore:
    def note() -> bool:
        parts.identity.flush_last_used(parts.database)
        return False

    return Chore("key use", 60.0, note)


def _absences(parts: Parts) -> Chore:
    def note() -> bool:
        note_absences(parts.database)
        return True

    return _alone(parts, "absences", timedelta(minutes=1), note, _nothing)


def _alone(parts: Parts, name: str, every: timedelta, do: Callable[[], bool], stop: Callable[[], None]) -> Chore:
    """A chore that one process at a time does for all, ``every`` so often; ``do`` tells whether it was done whole."""
    lease = Lease(parts.database, name)

    def take_turn() -> bool:
        if lease.take(every):
            is_done = False
            try:
                with lease.kept(stop):
                    is_done = do()
            finally:
                lease.release(is_done=is_done)
        return False

    return Chore(name, min(every.total_seconds(), 60.0), take_turn, stop=stop)


class Chores:
    """The threads of all chores, from ``start`` to ``stop``. A chore that fails is logged and tried again."""

    def __init__(self, parts: Parts, metrics: Metrics, chores: Sequence[Chore] | None = None) -> None:
        self._stopping = threading.Event()
        self._parts = parts
        self._metrics = metrics
        self._chores = chores_of(parts, metrics) if chores is None else chores
        self._hearing = ExitStack()
        self._said: dict[str, float] = {}
        self._threads = [
            threading.Thread(target=self._go_on, args=(chore,), name=f"chore: {chore.name}", daemon=True)
            for chore in self._chores
            for _ in range(chore.threads)
        ]

    def start(self) -> None:
        self._hearing.enter_context(self._parts.database.heard_by(self._hear))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End what is under way, each chore at its next step; may be called twice."""
        self._stopping.set()
        self._hearing.close()
        for chore in self._chores:
            chore.stop()
            chore.wake.set()
        ends = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(ends - time.monotonic(), 0))
        self._parts.identity.flush_last_used(self._parts.database)

    def _hear(self, news: set[object]) -> None:
        for chore in self._chores:
            if chore.wakes_on in news:
                chore.wake.set()

    def _go_on(self, chore: Chore) -> None:
        while not self._stopping.is_set():
            if not self._done(chore):
                chore.wake.wait(chore.every_seconds)
                # News that comes from here on is either seen by the look that follows, or wakes the next one.
                chore.wake.clear()

    def _done(self, chore: Chore) -> bool:
        try:
            is_more = chore.do()
        except Stopped:
            return False
        except (Problem, StoreError, OSError) as error:
            if self._is_news(chore):
                log.warning("chore failed, and is tried again", extra={"chore": chore.name, "why": str(error)})
        except Exception:  # a bug must not end the thread: it is logged and counted, and tried again
            if self._is_news(chore):
                log.exception("chore failed", extra={"chore": chore.name})
        else:
            self._metrics.chore_done.labels(chore.name).set_to_current_time()
            return is_more
        return False

    def _is_news(self, chore: Chore) -> bool:
        """Count a failure, and tell whether it is time to say so."""
        self._metrics.chore_failures.labels(chore.name).inc()
        is_news = time.monotonic() > self._said.get(chore.name, 0.0)
        if is_news:
            self._said[chore.name] = time.monotonic() + SAID_AGAIN_SECONDS
        return is_news
