"""One sync of one folder, without an agent: what is wanted comes from the team's list or from a machine's manifest."""

import asyncio
import hashlib
import socket
import threading
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from modelyard.client.durable import Busy, locked
from modelyard.client.filters import ModelFilter
from modelyard.client.paging import Paging, every_page
from modelyard.client.registry import Registry
from modelyard.client.sync.holding.holdings import Machine, Watch, scan
from modelyard.client.sync.holding.index import Index
from modelyard.client.sync.holding.journal import Journal
from modelyard.client.sync.holding.roots import Install
from modelyard.client.sync.holding.state import StateFile
from modelyard.client.sync.planning.actions import Plan
from modelyard.client.sync.planning.plan import Policy, plan_sync
from modelyard.client.sync.wanted import Unfit, WantedList, read_wanted, waiting_for
from modelyard.transfer.crew import Crew
from modelyard.wire.agents import Heartbeat, WantedModel
from modelyard.wire.models import Model, ModelList
from modelyard.wire.problems import AgentUnknown

_LOCK_SECONDS = 1.0


async def team_list(registry: Registry, labels: Collection[str]) -> WantedList:
    """What a machine with these labels should hold, by the team's list of models."""

    async def ask(paging: Paging) -> ModelList:
        return await registry.list_models(ModelFilter(model_status="active"), paging)

    models = [model async for page in every_page(ask) for model in page.model_list]
    return wanted_of([model for model in models if set(model.required_labels) <= set(labels)])


async def machine_list(registry: Registry, agent_id: str, labels: Collection[str]) -> WantedList:
    """What the machine of an agent's key should hold, by its manifest."""
    try:
        known = await registry.get_manifest(agent_id)
    except AgentUnknown:
        await registry.send_heartbeat(Heartbeat(agent_id=agent_id, agent_labels=list(labels)))
        known = await registry.get_manifest(agent_id)
    return WantedList() if known is None else read_wanted(known.manifest.model_list)


def wanted_of(models: Iterable[Model]) -> WantedList:
    """The models as a machine wants them; what is not verified is not fetched, and what is here of it stays."""
    entries: list[WantedModel] = []
    unverified: list[Unfit] = []
    for model in models:
        if model.verification == "pending":
            reason = "The registry has not verified it yet. Try again in a minute."
            unverified.append(waiting_for(_entry(model), reason))
        else:
            entries.append(_entry(model))
    wanted = read_wanted(entries)
    return replace(wanted, unfit=(*wanted.unfit, *unverified))


def _entry(model: Model) -> WantedModel:
    return WantedModel(
        id=model.id,
        model_path=model.model_path,
        model_type=model.model_type,
        file_size=model.file_size,
        file_hash=model.file_hash,
        blake3_hash=model.blake3_hash,
        updated_at=model.updated_at,
        keep=model.verification == "failed",
    )


@asynccontextmanager
async def folder_memory(folder: Path, state_dir: Path) -> AsyncIterator[Machine]:
    """What earlier syncs of this folder placed there, held against other processes.

    Raises:
        Busy: another one works on it.
        StateFailed: see ``StateFile``.
    """
    name = await asyncio.to_thread(_name_for, folder)
    async with locked(state_dir / "sync" / f"{name}.lock", wait_seconds=_LOCK_SECONDS) as is_held:
        if not is_held:
            raise Busy(f'Another sync works on "{folder}". Wait for its end.')
        async with Crew(1) as crew:
            state = await crew.run(lambda: StateFile(state_dir / "sync" / f"{name}.sqlite"), patience=None)
            try:
                yield await crew.run(lambda: Machine(name, Index(state), Journal(state)), patience=None)
            finally:
                await crew.run(state.close, patience=None)


def _name_for(folder: Path) -> str:
    place = f"{socket.gethostname()}\0{folder.resolve()}"
    return f"sync-{hashlib.sha256(place.encode(errors='surrogateescape')).hexdigest()[:16]}"


async def plan_once(
    installs: Sequence[Install], wanted: WantedList, machine: Machine, *, approve_removal: bool = False
) -> Plan:
    """Look at the folders and plan; ``approve_removal`` lets even many files go.

    Raises:
        StateFailed: see ``StateFile``.
    """
    policy = Policy(datetime.now().astimezone(), has_brake=not approve_removal)
    stopped = threading.Event()

    def planned() -> Plan:
        held = scan(installs, wanted.models, machine, Watch(stopped=stopped))
        return plan_sync(wanted, held, policy)

    async with Crew(1) as crew:
        return await crew.run(planned, stopped.set, patience=None)
