"""The downloads of one plan: several at once within one budget of requests, room and hours, the most wanted first."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial as call
from pathlib import Path
from uuid import UUID

from modelyard.client.sync.acting.budget import Window, seconds_left, why_closed
from modelyard.client.sync.acting.folders import Folder
from modelyard.client.sync.acting.room import Room, make_room
from modelyard.client.sync.acting.standing import Tell, standing_of
from modelyard.client.sync.acting.troubles import NoRoom, NotPlaced, trouble
from modelyard.client.sync.planning.actions import Target
from modelyard.client.sync.wanted import Wanted
from modelyard.transfer.crew import Crew
from modelyard.transfer.download import Finish, fetch_into
from modelyard.transfer.download import Wanted as WantedBytes
from modelyard.transfer.failures import DiskFull
from modelyard.transfer.network import USUAL, Network
from modelyard.transfer.progress import Event, Received, Resumed, Retrying
from modelyard.transfer.turns import Queue, Turns
from modelyard.wire.problems import KeyNotAllowed, NotAMember, Problem, Unauthenticated

UrlOf = Callable[[UUID], Awaitable[str]]

# What the registry says to a key that was revoked or was never good: no other model will go better.
_SHUT_OUT = (Unauthenticated, NotAMember, KeyNotAllowed)


def _local_time() -> datetime:
    return datetime.now().astimezone()


def _never_busy(_: Path) -> str | None:
    return None


@dataclass(frozen=True)
class Terms:
    """How a plan is carried out: ``parallel`` requests in all, ``floor`` bytes of each disk kept free.

    ``network`` carries the pace. ``why_busy`` says why a file may not be replaced now (ComfyUI renders), or None; it
    is called in a thread.
    """

    parallel: int = 4
    network: Network = USUAL
    floor: int = 0
    window: Window | None = None
    now: Callable[[], datetime] = _local_time
    why_busy: Callable[[Path], str | None] = _never_busy


@dataclass
class Downloads:
    """Belongs to one event loop. ``spare``: hashes of what lies in the trash and is wanted again."""

    url_of: UrlOf
    agent_id: str
    terms: Terms
    tell: Tell
    spare: Collection[str]
    _halted: str | None = None
    _full: dict[int, str] = field(default_factory=dict)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._turns = Turns(self.terms.parallel)
        self._room = Room(self.terms.floor)

    def watch_the_clock(self) -> asyncio.TimerHandle | None:
        """End all downloads when the window closes, if one is open; the answer can be cancelled."""
        now, window = self.terms.now(), self.terms.window
        left = seconds_left(window, now)
        if window is None or left is None or why_closed(window, now) is not None:
            return None
        return asyncio.get_running_loop().call_later(left, self.halt, window.why_waiting)

    def halt(self, reason: str) -> None:
        """End all downloads now, and let none begin. What has come stays for the next time."""
        self._halted = self._halted or reason
        for task in self._running:
            task.cancel()

    async def fetch(self, wanted: Wanted, target: Target, work: Folder, finish: Finish, rank: int) -> None:
        """Bring a model into the work folder and let ``finish`` place it.

        Raises:
            NotPlaced: downloads are halted, the window is closed or there is no room; or ``finish`` says so.
            TransferFailed, Problem: see ``transfer.download.fetch_into`` and ``Registry.download_ticket``.
            OSError: what ``finish`` raises.
        """
        device = target.root.device
        self._require_leave(device)
        self._room.promise(device, wanted.id, wanted.size)
        partial = work.path / f"{wanted.sha256}.{self.agent_id}.part"
        keep_free = self._room.kept_beside(device, wanted.id)
        bytes_wanted = WantedBytes(
            wanted.size, wanted.sha256, target.path, partial, work.descriptor, keep_free=keep_free
        )
        try:
            async with Crew(1) as crew:
                await crew.run(lambda: make_room(work, partial.name, wanted, keep_free, self.spare), patience=None)
            await self._unless_halted(self._fetch_into(wanted, device, bytes_wanted, finish, rank))
        except (NoRoom, DiskFull) as failure:
            self._full.setdefault(device, trouble(target.path, failure).reason)
            raise
        finally:
            self._room.forget(device, wanted.id)

    def _require_leave(self, device: int) -> None:
        closed = self._halted or why_closed(self.terms.window, self.terms.now())
        if closed is not None:
            raise NotPlaced("wanted", closed)
        if device in self._full:
            raise NotPlaced("blocked", self._full[device])

    async def _unless_halted(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        try:
            await task
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if self._halted is None or (this is not None and this.cancelling()):
                raise
            raise NotPlaced("wanted", self._halted) from None
        finally:
            self._running.discard(task)

    async def _fetch_into(
        self, wanted: Wanted, device: int, bytes_wanted: WantedBytes, finish: Finish, rank: int
    ) -> None:
        came = 0

        def report(event: Event) -> None:
            nonlocal came
            why = None
            if isinstance(event, Received | Resumed):
                came = event.done if isinstance(event, Received) else event.kept
                self._room.promise(device, wanted.id, wanted.size - came)
            elif isinstance(event, Retrying):
                why = f"{event.why} It is tried again."
            else:
                return
            self.tell(standing_of(wanted, "downloading" if came < wanted.size else "verifying", came, why))

        await fetch_into(
            call(self._url, wanted),
            bytes_wanted,
            finish,
            report,
            connections=self.terms.parallel,
            network=replace(self.terms.network, queue=Queue(self._turns, rank)),
        )

    async def _url(self, wanted: Wanted) -> str:
        try:
            return await self.url_of(wanted.id)
        except Problem as problem:
            if isinstance(problem, _SHUT_OUT):
                self.halt(f"The registry refuses this machine: {problem}")
            raise
