"""A machine whose agent runs in this process, with real folders and a real registry."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.agent.loop import Agent
from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.agent.registry.keys import AgentCredentials
from modelyard.agent.settings import read_settings
from modelyard.agent.startup import StartOptions, open_agent, run_agent_once
from modelyard.agent.state_folder import StatusSnapshot
from modelyard.client.settings import ClientSettings
from tests.waiting import PATIENCE_SECONDS, wait_until_async

SECONDS = PATIENCE_SECONDS


@dataclass
class AgentMachine:
    """A machine and its key.

    ``settings`` override its agent settings, ``client`` is with which its users push; ``models`` is its default models
    folder.
    """

    folder: Path
    url: str
    key: str
    agent_id: str
    key_id: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    client: ClientSettings | None = None

    def __post_init__(self) -> None:
        self.models = self.folder / "models"
        self.models.mkdir(parents=True, exist_ok=True)

    @property
    def start_options(self) -> StartOptions:
        environment = {"MODELYARD_AGENT_CONFIG": str(self.folder / "agent.toml")}
        flags = {"agent_id": self.agent_id, "models_dir": [self.models], "keep_free": 1} | self.settings
        settings = read_settings(environment, **flags)
        state, client = self.folder / "state", self.client
        return StartOptions(settings, self._read_credentials(), state, environment, client, self._read_credentials)

    def _read_credentials(self) -> AgentCredentials:
        """Return the key that the machine has now, as from the file of paired keys."""
        return AgentCredentials(self.url, self.key)

    def reconcile_once(self) -> ReconcileResult | None:
        """Reconcile once, as ``agent run --once`` does."""
        return asyncio.run(run_agent_once(self.start_options))

    async def reconcile(self) -> ReconcileResult | None:
        """Reconcile once, from an event loop."""
        return await run_agent_once(self.start_options)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        """Run the agent in a task until the block ends, and yield it."""
        async with open_agent(self.start_options) as agent:
            work = asyncio.create_task(agent.run())
            try:
                yield agent
            finally:
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work

    @property
    def status(self) -> StatusSnapshot | None:
        """The agent's last status file; None if it wrote none."""
        return self.start_options.folder.read_status()

    @property
    def waiting_for(self) -> str:
        """Why the agent waits, from its status file; empty if it does not."""
        return (self.status and self.status.waiting_for) or ""

    def has_file(self, path: str) -> bool:
        return (self.models / path).is_file()


async def wait_until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until a condition is true that may block, such as a request: it is called in a thread.

    Raises:
        AssertionError: it did not become true in time.
    """
    await wait_until_async(lambda: asyncio.to_thread(condition), seconds)
