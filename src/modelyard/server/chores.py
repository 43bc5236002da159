"""What the server does by the clock: verification of what nobody has read, clean-up, notes of when keys were used."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelyard.server.identity.operations import sweep
from modelyard.server.models.trash import collect_garbage
from modelyard.server.models.verification import verify_next
from modelyard.server.parts import Parts
from modelyard.server.storage.blob_store import StoreError
from modelyard.wire.problems import Problem

log = logging.getLogger("modelyard.chores")


@dataclass(frozen=True)
class Chore:
    """Something done again and again; ``do`` tells whether there is more to do at once."""

    name: str
    every_seconds: float
    do: Callable[[], bool]


def chores_of(parts: Parts) -> list[Chore]:
    def verify() -> bool:
        return verify_next(parts.database, parts.store)

    def clean() -> bool:
        collect_garbage(parts.database, parts.store, parts.settings)
        with parts.database.writing() as session:
            sweep(session)
        return False

    def note_keys() -> bool:
        parts.identity.flush_last_used(parts.database)
        return False

    return [Chore("verification", 1.0, verify), Chore("clean-up", 3600.0, clean), Chore("key use", 60.0, note_keys)]


class Chores:
    """One thread a chore, from ``start`` to ``stop``. A chore that fails is logged and tried again."""

    def __init__(self, parts: Parts, chores: Sequence[Chore] | None = None) -> None:
        self._stopping = threading.Event()
        self._parts = parts
        self._threads = [
            threading.Thread(target=self._go_on, args=(chore,), name=f"chore: {chore.name}", daemon=True)
            for chore in (chores_of(parts) if chores is None else chores)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after what is under way; may be called twice."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=10)
        self._parts.identity.flush_last_used(self._parts.database)

    def _go_on(self, chore: Chore) -> None:
        while not self._stopping.is_set():
            if not self._done(chore):
                self._stopping.wait(chore.every_seconds)

    def _done(self, chore: Chore) -> bool:
        try:
            return chore.do()
        except (Problem, StoreError, OSError) as error:
            log.warning("chore failed, and is tried again", extra={"chore": chore.name, "why": str(error)})
        except Exception:
            log.exception("chore failed", extra={"chore": chore.name})
        return False
