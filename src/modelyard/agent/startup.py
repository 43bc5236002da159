"""Start and stop of an agent process: settings, lock, state file, signals and logging."""

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

from modelyard.agent.loop import Agent, LocalMachine
from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.agent.reconciliation.adoption import describe_other_agents
from modelyard.agent.reconciliation.reconciler import Reconciler
from modelyard.agent.registry.connection import REFUSALS, describe_refusal
from modelyard.agent.registry.current_key import CurrentKey, ReadCredentials
from modelyard.agent.registry.keys import AgentCredentials
from modelyard.agent.registry.names import find_name_of_key, find_other_user
from modelyard.agent.roots import ROOT_CACHE, RootCache, RootFinder, list_counted_urls
from modelyard.agent.settings import AgentSettings
from modelyard.agent.state_folder import StateFolder
from modelyard.agent.status import AgentStatus, MachineInfo
from modelyard.agent.timers import HeartbeatTimer
from modelyard.agent.use.use_log import open_use_log
from modelyard.build import get_build_id
from modelyard.client.api.registry import RegistryApi
from modelyard.client.atomic_file import LockHeld, locked
from modelyard.client.profile import KeyRefused, RegistryUnreachable
from modelyard.client.settings import ClientSettings
from modelyard.sync.apply.replica_states import OnReplicaState, ignore_replica_state
from modelyard.sync.inventory.deadlines import FilesystemNotResponding, StallDeadline
from modelyard.sync.inventory.filesystem import FilesystemSpace, get_filesystem_space
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.machine_state import open_machine_state
from modelyard.transfer.errors import Unreachable
from modelyard.wire.problems import AgentTaken

log = logging.getLogger("modelyard.agent")

# A heartbeat waits at most this long for a disk.
_DISK_SECONDS = 5.0


@dataclass(frozen=True)
class StartOptions:
    """The settings, credentials, state folder and environment variables with which an agent is started."""

    settings: AgentSettings
    credentials: AgentCredentials
    state_dir: Path
    environment: Mapping[str, str]
    client: ClientSettings | None = None  # with which users of this machine push; None: they cannot
    read_credentials: ReadCredentials | None = None  # of the same registry, while the agent runs; None: they stay

    @property
    def folder(self) -> StateFolder:
        """The agent's own state folder below ``state_dir``."""
        return StateFolder(self.state_dir, self.settings.agent_id)


async def run_agent(options: StartOptions) -> None:
    """Run an agent until SIGINT or SIGTERM. Call it on the main thread's event loop.

    Raises:
        LockHeld: another process runs this agent; each would not know what the other one placed.
        RootsNotFound: no folder can be used at the start; later, folders may disappear and return.
        StateFileError: see ``StateFile``.
    """
    async with open_agent(options) as agent:
        work = asyncio.ensure_future(agent.run())
        loop = asyncio.get_running_loop()
        # Windows has no SIGTERM, and Ctrl-C cancels the task that waits here.
        if sys.platform != "win32":
            for name in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(name, work.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await work
        log.info("Stopped. Transfers continue from here at the next start.")


async def run_agent_once(
    options: StartOptions, on_replica_state: OnReplicaState = ignore_replica_state
) -> ReconcileResult | None:
    """Run an agent for one reconciliation with all its actions; return None if it was not possible, as the log says.

    The result and the stop are reported to the registry. ``on_replica_state`` is called on the event loop with each
    change of a model's state.

    Raises:
        LockHeld, RootsNotFound, StateFileError: see ``run_agent``.
        KeyRefused: the registry refuses this machine's key, or its name with this key.
        RegistryUnreachable: the registry did not answer.
        Problem, TransferFailed: the registry answered with another error.
    """
    async with open_agent(options) as agent:
        agent.status.on_replica_state = on_replica_state
        try:
            return await agent.run_once()
        except REFUSALS as refusal:
            # A name that is taken needs another name, and its text says so.
            url = None if isinstance(refusal, AgentTaken) else options.credentials.url
            names = {"used_name": find_other_user(refusal), "key_name": find_name_of_key(refusal)}
            raise KeyRefused(describe_refusal(refusal), url, **names) from refusal
        except Unreachable as failure:
            raise RegistryUnreachable(str(failure)) from failure


@asynccontextmanager
async def open_agent(options: StartOptions) -> AsyncIterator[Agent]:
    """Find an agent's folders, lock and open its state, and yield the agent, which does not run yet.

    A damaged state file and other agents on the same folders are logged as warnings.

    Raises:
        LockHeld, RootsNotFound, StateFileError: see ``run_agent``.
    """
    settings = options.settings
    # Checked before the start, because a user who starts the agent can correct the folders then.
    root_finder = RootFinder(settings, options.environment, RootCache(options.folder.path / ROOT_CACHE))
    await asyncio.to_thread(root_finder.find)
    async with locked(options.folder.lock, wait_seconds=0.5) as is_held:
        if not is_held:
            raise LockHeld(
                f"An agent '{settings.agent_id}' is already running here: modelyard agent status. Give a second agent"
                " another name: --agent-id ID."
            )
        async with open_machine_state(options.state_dir, settings.agent_id) as machine:
            if machine.damage_notice is not None:
                log.warning("%s", machine.damage_notice)
            url = options.credentials.url
            if warning := await asyncio.to_thread(describe_other_agents, options.state_dir, settings, url):
                log.warning("%s", warning)
            async with _build_agent(options, machine, root_finder) as agent:
                yield agent


@asynccontextmanager
async def _build_agent(options: StartOptions, machine: MachineState, root_finder: RootFinder) -> AsyncIterator[Agent]:
    """Construct the agent's parts, open its registry client and executor for the block, and yield the agent."""
    settings, credentials = options.settings, options.credentials
    # No retries in the client, because the agent has its own backoff.
    key = CurrentKey(credentials, options.read_credentials)
    async with RegistryApi(credentials.url, key, retry_seconds=0) as registry:
        previous = await asyncio.to_thread(options.folder.read_status)
        heartbeat_timer = HeartbeatTimer()
        status = AgentStatus(settings, credentials.url, heartbeat_timer.request, previous)
        urls = list_counted_urls(settings)
        is_counted = settings.report_use
        status.use_log = await asyncio.to_thread(open_use_log, options.folder.use_log, urls, is_counted=is_counted)
        reconciler = Reconciler(settings, root_finder, machine, registry, status)
        machine_info = partial(read_machine_info, settings, StallDeadline(_DISK_SECONDS))
        async with reconciler.executor:
            local = LocalMachine(options.folder, machine_info, key, options.client)
            yield Agent(status, registry, reconciler, heartbeat_timer, local)


def read_machine_info(settings: AgentSettings, deadline: StallDeadline, last: ReconcileResult) -> MachineInfo:
    """Return the agent's build, facts about the ComfyUIs that ran at the last plan, and the least free space.

    Blocking, as it may ask git for the build, but a disk that does not respond in time is left out.
    """
    versions = [version for comfyui, _ in last.roots.running if (version := comfyui.get_version()) is not None]
    spaces: list[FilesystemSpace | None] = []
    for folder in (*settings.comfyui, *settings.models_dir):
        with contextlib.suppress(FilesystemNotResponding):
            spaces.append(deadline.run(folder, partial(_get_disk_space, folder)))
    return MachineInfo(
        agent_build=get_build_id(),
        comfyui_version=versions[0] if versions else None,
        is_rendering=any(comfyui.is_rendering() for comfyui, _ in last.roots.running),
        disk_free=min((space.free_bytes for space in spaces if space is not None), default=None),
    )


def _get_disk_space(folder: Path, moved: Callable[[], None]) -> FilesystemSpace | None:  # noqa: ARG001 - a single call has no progress
    """Return the disk space at a folder, None if it cannot be read; ``moved`` is not called."""
    return get_filesystem_space(folder)


def reduce_gc_frequency() -> None:
    """Run the cyclic garbage collector less often, and exclude all objects that exist now for good.

    With ten thousand models it takes long and finds nothing.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def configure_stderr_logging(level: str) -> None:
    """Log to stderr, with the time on a terminal and without it for systemd's journal, which adds its own.

    Does nothing about handlers and level if the root logger has a handler already. HTTP libraries log warnings only.
    """
    # These libraries log a line for each request.
    for noisy in ("httpx2", "httpcore2", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    form = "%(asctime)s %(levelname)s %(message)s" if sys.stderr.isatty() else "%(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format=form, datefmt="%H:%M:%S")
