"""An agent at work: it listens for what is wanted, looks at its folders when something changed, and says how it goes.

    Talk.listen   the manifest, by questions that rest at the registry
    Talk.beat     heartbeats; their answers pause, approve, or ask to look
    Work.run      rounds, one at a time
    Rereading     old files, read once more while nothing else is to be done
    Agent.show    the status file, and approvals made on this machine

They know one another by ``Situation``, and by what they wake.
"""

import asyncio
from contextlib import suppress

from modelyard.agent.connection import RegistryCalls
from modelyard.agent.rereading import Rereading
from modelyard.agent.rounds import Outcome, Rounds
from modelyard.agent.situation import Situation
from modelyard.agent.status import StateFolder, Status
from modelyard.agent.talk import LookAround, Talk
from modelyard.agent.work import Work

_SHOW_SECONDS = 1.0
_LAST_BEAT_SECONDS = 5.0
_MOST_ANEW = 3


class Agent:
    """One agent; belongs to one event loop."""

    def __init__(
        self,
        situation: Situation,
        registry: RegistryCalls,
        rounds: Rounds,
        folder: StateFolder,
        look_around: LookAround,
    ) -> None:
        self.situation = situation
        self._folder = folder
        self._work = Work(situation, rounds)
        self._talk = Talk(situation, registry, self._work, look_around)
        self._work.tell = situation.tell = self._talk.has_news
        self.rereading = Rereading(situation, rounds, self._work.look_now)
        self._last_approval: str | None = None

    async def run(self) -> None:
        """Work until cancelled; then the transfers stop and the registry hears it once more."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for task in (self._talk.listen, self._talk.beat, self._work.run, self.rereading.run, self.show):
                    tasks.create_task(task())
        finally:
            await self._say_good_bye()

    async def run_once(self) -> Outcome | None:
        """One round, reported; None if it could not be made.

        Raises:
            Problem, TransferFailed: the registry refused, or did not answer.
        """
        situation = self.situation
        await self._talk.send_heartbeat()
        await self._talk.ask(0)
        await self._read_approval()
        await self._work.make_round()
        await self._read_approval()
        outcome = None if situation.trouble else situation.outcome
        await self._report_all()
        await self._say_good_bye()
        return outcome

    async def _report_all(self) -> None:
        """Tell the registry all that it does not know; one that always wants everything anew is left with that."""
        situation, anew = self.situation, 0
        while situation.link.is_up and situation.reports.has_news and anew < _MOST_ANEW:
            anew += await self._talk.send_heartbeat()

    async def show(self) -> None:
        """Keep the status file as new as the second, and read what was approved here; until cancelled."""
        last: Status | None = None
        while True:
            status = self.situation.status()
            if last is None or status.model_copy(update={"written_at": last.written_at}) != last:
                last = status
                # A full disk keeps nobody from working.
                with suppress(OSError):
                    await asyncio.to_thread(self._folder.write, status)
            await self._read_approval()
            await asyncio.sleep(_SHOW_SECONDS)

    async def _read_approval(self) -> None:
        """What was approved here; an approval is good for one removal."""
        token = await asyncio.to_thread(self._folder.approved)
        if token is not None and token == self._last_approval and self.situation.approved.get("machine") != token:
            with suppress(OSError):
                await asyncio.to_thread(self._folder.forget_approval)
            token = None
        self._last_approval = token
        self._talk.approve("machine", token)

    async def _say_good_bye(self) -> None:
        situation = self.situation
        situation.breaks_off(situation.trouble)
        situation.enters("waiting")
        situation.looks_at("The agent was stopped.")
        if situation.link.is_up:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_BEAT_SECONDS):
                    await self._talk.send_heartbeat()
        situation.link.state = "stopped"
        with suppress(OSError):
            await asyncio.to_thread(self._folder.write, situation.status())
