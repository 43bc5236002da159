"""A machine with an agent: its folders on a real disk, its registry a real one, its program in this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.agent.keys import Identity
from modelyard.agent.loop import Agent
from modelyard.agent.rounds import Outcome
from modelyard.agent.settings import read_settings
from modelyard.agent.start import Start, opened_agent, run_once
from modelyard.agent.status import Status

SECONDS = 60.0


@dataclass
class Box:
    """``settings`` are added to those of the machine; ``models`` is its models folder unless they say otherwise."""

    folder: Path
    url: str
    key: str
    agent_id: str
    key_id: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.models = self.folder / "models"
        self.models.mkdir(parents=True, exist_ok=True)

    @property
    def start(self) -> Start:
        environment = {"MODELYARD_AGENT_CONFIG": str(self.folder / "agent.toml")}
        flags = {"agent_id": self.agent_id, "models_dir": [self.models], "keep_free": 1} | self.settings
        settings = read_settings(environment, **flags)
        return Start(settings, Identity(self.url, self.key), self.folder / "state", environment)

    def once(self) -> Outcome | None:
        """One look, as by ``agent run --once``."""
        return asyncio.run(run_once(self.start))

    async def look(self) -> Outcome | None:
        """The same, from an event loop."""
        return await run_once(self.start)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        """The agent at work, until the block ends."""
        async with opened_agent(self.start) as agent:
            work = asyncio.create_task(agent.run())
            try:
                yield agent
            finally:
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work

    @property
    def status(self) -> Status | None:
        """What the agent said last on this machine."""
        return self.start.folder.read()

    @property
    def waits_for(self) -> str:
        """Why it waits, as it says on this machine."""
        return (self.status and self.status.waiting_for) or ""

    def has(self, path: str) -> bool:
        return (self.models / path).is_file()


async def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Poll until it is true.

    Raises:
        AssertionError: it did not become true in time.
    """
    ends = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < ends, "It did not happen in time."
        await asyncio.sleep(0.02)
