"""When rounds are made and ended: one at a time, soon after something changed, never while the registry is away."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from modelyard.agent.library import NoFolders
from modelyard.agent.rounds import Leave, Outcome, Rounds
from modelyard.agent.schedule import Schedule
from modelyard.agent.situation import Situation
from modelyard.client.sync.wanted import read_wanted
from modelyard.wire.agents import Manifest

log = logging.getLogger("modelyard.agent")

_MOVING = frozenset({"downloading", "verifying"})


def _nobody() -> None:
    """Before anybody listens."""


class Work:
    """The rounds of one agent. ``tell`` is called when there is something to tell the registry."""

    def __init__(self, situation: Situation, rounds: Rounds, tell: Callable[[], None] = _nobody) -> None:
        self.tell = tell
        self._situation = situation
        self._rounds = rounds
        self._schedule = Schedule(situation.settings.window)
        self._bell = asyncio.Event()
        self._round: asyncio.Task[Outcome] | None = None
        self._has_purged = False
        self._said: set[str] = set()
        self._stand = ""

    def look_now(self) -> None:
        """Something changed."""
        self._schedule.wake(time.monotonic())
        self._bell.set()

    def stop_now(self) -> None:
        """End a round that runs; what has come stays for the next."""
        if self._round is not None:
            self._round.cancel()
        self._bell.set()

    def found_registry(self) -> None:
        """The registry answers, and did not before."""
        self._has_purged = False
        self.look_now()

    async def run(self) -> None:
        """Make rounds until cancelled."""
        situation = self._situation
        while True:
            await ring(self._bell, self._schedule.wait(time.monotonic()))
            if situation.link.state == "refused":
                await self._purge_once()
            elif situation.manifest is not None and situation.link.is_up:
                if self._schedule.wait(time.monotonic()) == 0:
                    await self.make_round()
                continue
            # Without a registry nothing is begun; whoever finds it again rings.
            await self._bell.wait()

    async def make_round(self) -> None:
        """One round, to its end or to the change that makes another one better."""
        manifest = self._situation.manifest
        if manifest is None:
            return
        self._schedule.begin(time.monotonic())
        self._round = asyncio.create_task(self._looked_at(manifest))
        try:
            await self._watch_over(self._round)
            outcome = self._round.result()
        except asyncio.CancelledError:
            self._round.cancel()
            await asyncio.wait([self._round])
            this = asyncio.current_task()
            if this is not None and this.cancelling():
                raise
            self._situation.breaks_off(None)
        except Exception as failure:  # noqa: BLE001 - one round's failure must not end the agent
            self._failed(failure)
        else:
            self._done(outcome)
        finally:
            self._round = None

    async def _looked_at(self, manifest: Manifest) -> Outcome:
        situation = self._situation
        leave = Leave(
            situation.paused,
            tuple(situation.approved.values()),
            lambda: situation.link.is_up and situation.manifest is manifest and not situation.paused,
        )
        wanted = await asyncio.to_thread(read_wanted, manifest.model_list)
        return await self._rounds.run(wanted, leave, situation)

    async def _watch_over(self, running: "asyncio.Task[Outcome]") -> None:
        """Wait for the round's end, and end it for a change once it had its time."""
        while not running.done():
            now = time.monotonic()
            is_due = self._schedule.wait(now) == 0
            if is_due and self._situation.phase in _MOVING and self._schedule.wait_to_disturb(now) == 0:
                log.info("Something changed: planning anew. What has come stays.")
                self._schedule.disturbed()
                running.cancel()
                await asyncio.wait([running])
                return
            bell = asyncio.create_task(self._bell.wait())
            # What is read or placed now is soon done, and would have to be done again; so only downloads are ended.
            timeout = max(0.2, min(1.0, self._schedule.wait_to_disturb(now))) if is_due else None
            try:
                await asyncio.wait({running, bell}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            finally:
                bell.cancel()
            self._bell.clear()

    def _done(self, outcome: Outcome) -> None:
        self._situation.ends(outcome)
        now, local = time.monotonic(), datetime.now().astimezone()
        self._schedule.ended(now, local, has_failed=outcome.has_failed, is_busy=outcome.is_busy)
        if outcome.is_approval_spent:
            self._situation.approved.clear()
        if outcome.held is not None and outcome.held.token in self._situation.approved.values():
            self.look_now()  # it was approved while this round ran
        self._log(outcome)
        self.tell()

    def _log(self, outcome: Outcome) -> None:
        """What was done, how it stands, and what is wrong if that is new: a conflict may last for weeks."""
        states = Counter(standing.state for standing in outcome.standings if standing.state)
        stand = f"{states.total()} models: {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}."
        if states and stand != self._stand:
            log.info("%s", stand)
        self._stand = stand
        said: set[str] = set()
        for standing in outcome.standings:
            if standing.done not in {"kept", "found", None}:
                log.info("%s: %s", standing.path or standing.model_path, standing.done)
            if standing.reason:
                said.add(f"{standing.model_path}: {standing.state}: {standing.reason}")
        if outcome.held is not None:
            said.add(outcome.held.reason)
        said.update(outcome.notes)
        for line in sorted(said - self._said):
            log.warning("%s", line)
        self._said = said

    def _failed(self, failure: Exception) -> None:
        if isinstance(failure, NoFolders | OSError):
            log.error("%s", failure)
            self._situation.breaks_off(str(failure))
        else:
            log.error("A round failed in a way that nobody foresaw.", exc_info=failure)
            self._situation.breaks_off("The agent made a mistake; its log says more. It tries again.")
        self._schedule.ended(time.monotonic(), datetime.now().astimezone(), has_failed=True)
        self.tell()

    async def _purge_once(self) -> None:
        link = self._situation.link
        if not (self._situation.settings.purge_on_revoke and link.is_revoked) or self._has_purged:
            return
        self._has_purged = True
        try:
            gone = await self._rounds.purge(self._situation)
        except (NoFolders, OSError) as failure:
            log.warning("What was placed here could not be removed: %s", failure)
        else:
            log.warning("The key was revoked: %d files that were placed here are removed.", len(gone))
        self._situation.breaks_off(None)


async def ring(bell: asyncio.Event, seconds: float) -> None:
    """Wait until the bell rings or the time is over, and silence it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await bell.wait()
    bell.clear()
