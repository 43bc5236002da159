"""A machine with a real models folder, a real journal and a store that serves what is wanted over HTTP."""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from modelyard.client.sync.acting.apply import apply_plan
from modelyard.client.sync.acting.downloads import Terms
from modelyard.client.sync.acting.standing import Standing, Tell, unheard
from modelyard.client.sync.holding.holdings import Machine, scan
from modelyard.client.sync.holding.index import Index
from modelyard.client.sync.holding.journal import Entry, Journal
from modelyard.client.sync.holding.roots import WORK_FOLDER, Install, models_folder
from modelyard.client.sync.holding.state import StateFile
from modelyard.client.sync.planning.actions import Plan
from modelyard.client.sync.planning.plan import plan_sync
from modelyard.client.sync.wanted import WantedList, read_wanted
from modelyard.transfer.network import Network
from modelyard.wire.agents import WantedModel
from tests.client.sync.making import model, policy_of
from tests.transfer.misbehaving import MisbehavingServer

MOMENT = datetime(2026, 11, 24, 12, tzinfo=UTC)
IMPATIENT = Network(
    connect_seconds=2,
    stall_seconds=1,
    answer_seconds=2,
    tries=2,
    first_wait_seconds=0.01,
    longest_wait_seconds=0.05,
    range_size=200_000,
)
USUAL = Terms(network=IMPATIENT)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Store:
    """What a registry's models are and where their bytes come from."""

    server: MisbehavingServer
    asked: list[UUID] = field(default_factory=list)

    def model(self, path: str, content: bytes, **facts: object) -> WantedModel:
        """A model whose bytes can be fetched."""
        said = model(path, "", **({"file_size": len(content), "file_hash": f"sha256:{sha256(content)}"} | facts))
        self.server.put(f"/{said.id}", content)
        return said

    async def url_of(self, model_id: UUID) -> str:
        self.asked.append(model_id)
        return self.server.url(f"/{model_id}")


class RealMachine:
    """An agent's machine. ``models`` is its only models folder unless there are other ``installs``."""

    def __init__(self, models: Path, state: Path, store: Store, agent_id: str = "render-07") -> None:
        models.mkdir(parents=True, exist_ok=True)
        self.models = models
        self.work = models / WORK_FOLDER
        self.store = store
        self.agent_id = agent_id
        self.installs: tuple[Install, ...] = (models_folder(models),)
        self.state = state

    @contextmanager
    def opened(self) -> Iterator[Machine]:
        with StateFile(self.state / f"{self.agent_id}.sqlite") as state:
            yield Machine(self.agent_id, Index(state), Journal(state))

    @property
    def rows(self) -> list[Entry]:
        with self.opened() as machine:
            return machine.journal.entries()

    def plan(self, *models: WantedModel, **policy: object) -> Plan:
        with self.opened() as machine:
            return self._plan(machine, read_wanted(models), **policy)

    def sync(self, *models: WantedModel, terms: Terms = USUAL, **policy: object) -> dict[str, Standing]:
        """Look, plan and act once; the standings by path, or by what was said last of one path."""
        with self.opened() as machine:
            plan = self._plan(machine, read_wanted(models), **policy)
            return by_path(asyncio.run(apply_plan(plan, machine, self.store.url_of, terms)))

    def carry_out(self, plan: Plan, terms: Terms = USUAL, tell: Tell = unheard) -> dict[str, Standing]:
        with self.opened() as machine:
            return by_path(asyncio.run(apply_plan(plan, machine, self.store.url_of, terms, tell)))

    def put(self, path: str, content: bytes) -> Path:
        """A file of the user's."""
        file = self.models / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, (1_600_000_000, 1_600_000_000))
        return file

    def visible(self) -> dict[str, bytes]:
        """All files outside the work folder."""
        return {
            str(path.relative_to(self.models)): path.read_bytes()
            for path in sorted(self.models.rglob("*"))
            if path.is_file() and WORK_FOLDER not in path.parts
        }

    def left(self) -> list[str]:
        """The names in the work folder, the trash's without their times."""
        return sorted(
            str(path.relative_to(self.work)).split(".")[0] if "trash/" in str(path) else path.name
            for path in self.work.rglob("*")
            if path.is_file()
        )

    def _plan(self, machine: Machine, wanted: WantedList, **policy: object) -> Plan:
        held = scan(self.installs, wanted.models, machine)
        return plan_sync(wanted, held, policy_of(**policy))


def by_path(standings: tuple[Standing, ...]) -> dict[str, Standing]:
    return {standing.model_path: standing for standing in standings}
