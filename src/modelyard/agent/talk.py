"""What the agent and its registry say to each other: heartbeats, and questions for the manifest that rest there."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from modelyard.agent.connection import LISTEN_SECONDS, REFUSED_RETRY, RegistryCalls
from modelyard.agent.rounds import Outcome
from modelyard.agent.schedule import Backoff, Pulse
from modelyard.agent.situation import Situation, Surroundings
from modelyard.agent.work import Work, ring
from modelyard.client.sync.wording import counted
from modelyard.transfer.failures import TransferFailed
from modelyard.wire.agents import HeartbeatAnswer
from modelyard.wire.problems import AgentUnknown, Problem

log = logging.getLogger("modelyard.agent")

# A question that ends this much early was ended by the registry: it has something else to say.
_EARLY_SECONDS = 1.0
# Between two manifests that differ: a registry that always has another one keeps no processor busy.
_NEWS_SECONDS = 0.5

LookAround = Callable[[Outcome], Surroundings]


class Talk:
    """Both ways of talking of one agent."""

    def __init__(self, situation: Situation, registry: RegistryCalls, work: Work, look_around: LookAround) -> None:
        self._situation = situation
        self._yard = registry
        self._work = work
        self._look_around = look_around
        self._pulse = Pulse()
        self._bell = asyncio.Event()
        self._etag: str | None = None

    def has_news(self) -> None:
        """Something is worth telling."""
        self._pulse.changed()
        self._bell.set()

    async def listen(self) -> None:
        """Hear of each change of the manifest, until cancelled."""
        backoff = Backoff()
        while True:
            began = time.monotonic()
            try:
                is_news = await self.ask(LISTEN_SECONDS)
            except (Problem, TransferFailed):
                is_refused = self._situation.link.state == "refused"
                await asyncio.sleep(REFUSED_RETRY if is_refused else backoff.next_wait())
                continue
            backoff.reset()
            took = time.monotonic() - began
            if is_news:
                await asyncio.sleep(max(0.0, _NEWS_SECONDS - took))
            elif took < LISTEN_SECONDS - _EARLY_SECONDS:
                self.has_news()
                await asyncio.sleep(_EARLY_SECONDS)

    async def ask(self, wait: int) -> bool:
        """Take in what is wanted, if it changed; gives whether it did.

        Raises:
            Problem, TransferFailed: the registry did not answer as it should.
        """
        situation = self._situation
        try:
            fresh = await self._yard.get_manifest(situation.settings.agent_id, etag=self._etag, wait=wait)
        except AgentUnknown:
            self.has_news()
            raise
        except (Problem, TransferFailed) as failure:
            self._lost(failure)
            raise
        self._found()
        if fresh is None:
            return False
        models = fresh.manifest.model_list
        self._etag, situation.manifest = fresh.etag, fresh.manifest
        situation.reports.follow({model.id: model.updated_at for model in models})
        log.info("The registry wants %d models here (revision %d).", len(models), fresh.manifest.revision)
        self._work.look_now()
        return True

    async def beat(self) -> None:
        """Send heartbeats when they are due, until cancelled."""
        while True:
            await ring(self._bell, self._pulse.wait(time.monotonic()))
            if self._pulse.wait(time.monotonic()) == 0:
                await self.send_heartbeat()

    async def send_heartbeat(self) -> bool:
        """Say how things are, and obey the answer; gives whether that was to report everything anew."""
        situation = self._situation
        situation.surroundings = await asyncio.to_thread(self._look_around, situation.outcome)
        report = situation.reports.next_report()
        try:
            answer = await self._yard.send_heartbeat(situation.heartbeat(report))
        except (Problem, TransferFailed) as failure:
            self._lost(failure)
            self._pulse.failed(time.monotonic())
            return False
        self._found()
        situation.last_heartbeat = datetime.now().astimezone()
        situation.reports.answered(report, resend_all=answer.resend_all)
        self._obey(answer)
        is_busy = situation.is_acting or situation.reports.has_news
        self._pulse.went_well(time.monotonic(), answer.interval_seconds, is_busy=is_busy)
        return answer.resend_all

    def approve(self, by: str, token: str | None) -> None:
        """Somebody approved a removal, here or in the registry; None takes that back."""
        situation = self._situation
        if situation.approved.get(by) == token:
            return
        situation.approved[by] = token
        held = situation.outcome.held
        if held is not None and held.token == token:
            log.info("The removal of %s was approved.", counted(len(held.removals), "file"))
            self._work.look_now()

    def _obey(self, answer: HeartbeatAnswer) -> None:
        situation = self._situation
        if answer.paused != situation.paused:
            log.info("Paused in the registry." if answer.paused else "Not paused any more.")
            situation.paused = answer.paused
            if answer.paused:
                self._work.stop_now()
            self._work.look_now()
        self.approve("registry", answer.approved_removal)
        if answer.sync_now:
            self._work.look_now()

    def _found(self) -> None:
        if self._situation.link.answered():
            log.info("Connected to %s as %s.", self._yard.url, self._situation.settings.agent_id)
            self._work.found_registry()

    def _lost(self, failure: Problem | TransferFailed) -> None:
        link = self._situation.link
        if link.failed(failure):
            log.warning("%s", link.reason)
        if link.state == "refused":
            self._work.stop_now()
