"""From settings to a running agent, and to its end: signals, the lock, the state file."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from modelyard.agent.connection import SHUT_OUT
from modelyard.agent.keys import Identity
from modelyard.agent.library import Finder, Memory
from modelyard.agent.loop import Agent
from modelyard.agent.rounds import Outcome, Rounds
from modelyard.agent.settings import AgentSettings
from modelyard.agent.situation import Situation, Surroundings
from modelyard.agent.status import StateFolder
from modelyard.client.durable import Busy, locked
from modelyard.client.profile import KeyRefused
from modelyard.client.registry import Registry
from modelyard.client.sync.holding.ground import Space, space_at
from modelyard.client.sync.holding.holdings import Machine
from modelyard.client.sync.holding.index import Index
from modelyard.client.sync.holding.journal import Journal
from modelyard.client.sync.holding.patience import NotAnswering, Patience
from modelyard.client.sync.holding.state import StateFile

log = logging.getLogger("modelyard.agent")

# A heartbeat does not wait longer for a disk.
_LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Start:
    """What an agent is started with."""

    settings: AgentSettings
    identity: Identity
    state_dir: Path
    environment: Mapping[str, str]

    @property
    def folder(self) -> StateFolder:
        return StateFolder(self.state_dir, self.settings.agent_id)


async def run_agent(start: Start) -> None:
    """Work until a signal asks to end.

    Raises:
        Busy: another process is this agent; two would not know what the other placed.
        NoFolders: see ``Finder``; later on, folders may come and go.
        StateFailed: see ``StateFile``.
    """
    async with opened_agent(start) as agent:
        work = asyncio.ensure_future(agent.run())
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, work.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await work
        log.info("Stopped. Transfers go on from where they are at the next start.")


async def run_once(start: Start) -> Outcome | None:
    """One round; None if it could not be made, and the log says why.

    Raises:
        Busy, NoFolders, StateFailed: see ``run_agent``.
        KeyRefused: the registry does not let this machine in.
        Problem, TransferFailed: the registry refused something else, or did not answer.
    """
    async with opened_agent(start) as agent:
        try:
            return await agent.run_once()
        except SHUT_OUT as refusal:
            raise KeyRefused(f"The registry refuses this machine: {refusal}") from refusal


@asynccontextmanager
async def opened_agent(start: Start) -> AsyncIterator[Agent]:
    """An agent that nobody else is meanwhile, ready to work; see ``run_agent`` for what is raised."""
    settings, identity = start.settings, start.identity
    # Whoever starts an agent is there to read what is wrong with the folders.
    finder = Finder(settings, start.environment, Memory(start.folder.path / "folders.json"))
    await asyncio.to_thread(finder.find)
    async with locked(start.folder.lock, wait_seconds=0.5) as is_held:
        if not is_held:
            raise Busy(
                f"An agent '{settings.agent_id}' runs here already: modelyard agent status. Give a second one another"
                " name: --agent-id ID."
            )
        state = await asyncio.to_thread(StateFile, start.state_dir / "sync" / f"{settings.agent_id}.sqlite")
        try:
            if state.lost is not None:
                log.warning("%s", state.lost)
            machine = await asyncio.to_thread(lambda: Machine(settings.agent_id, Index(state), Journal(state)))
            # The agent has waits of its own: what does not answer at once is asked again later.
            async with Registry(identity.url, identity.key, patience_seconds=0) as registry:
                rounds = Rounds(settings, finder, machine, registry)
                situation = Situation(settings, identity.url)
                around = partial(look_around, settings, Patience(_LOOK_SECONDS))
                yield Agent(situation, registry, rounds, start.folder, around)
        finally:
            await asyncio.to_thread(state.close)


def look_around(settings: AgentSettings, patience: Patience, last: Outcome) -> Surroundings:
    """What is beside the agent now; blocking, but not on a disk that does not answer."""
    versions = [version for comfyui, _ in last.library.running if (version := comfyui.version()) is not None]
    spaces: list[Space | None] = []
    for folder in (*settings.comfyui, *settings.models_dir):
        with contextlib.suppress(NotAnswering):
            spaces.append(patience.run(folder, partial(_space, folder)))
    return Surroundings(
        comfyui_version=versions[0] if versions else None,
        is_rendering=any(comfyui.is_rendering() for comfyui, _ in last.library.running),
        disk_free=min((space.free for space in spaces if space is not None), default=None),
    )


def _space(folder: Path, moved: Callable[[], None]) -> Space | None:  # noqa: ARG001 - one call, which moves or does not
    return space_at(folder)


def collect_seldom() -> None:
    """Look for circles of garbage less often: among ten thousand models each look takes long and finds none."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def log_to_stderr(level: str) -> None:
    """Lines for a terminal, or for the journal of systemd, which knows the time itself."""
    # Every line of these libraries is about one request.
    for noisy in ("httpx2", "httpcore2", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    form = "%(asctime)s %(levelname)s %(message)s" if sys.stderr.isatty() else "%(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format=form, datefmt="%H:%M:%S")
