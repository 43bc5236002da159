"""A machine with a real models folder, a real journal and a store that serves desired models over HTTP."""

import asyncio
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

from modelyard.comfyui.layout import Install, build_plain_install
from modelyard.sync.apply.apply_plan import apply_plan
from modelyard.sync.apply.downloads import ApplyOptions
from modelyard.sync.apply.replica_states import OnReplicaState, ReplicaState, ignore_replica_state
from modelyard.sync.desired import DesiredModel, DesiredState, build_desired_state
from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.placement_journal import Placement, PlacementJournal
from modelyard.sync.inventory.roots import WORK_FOLDER
from modelyard.sync.inventory.scan import MachineState, scan_roots
from modelyard.sync.inventory.state_db import StateFile
from modelyard.sync.planning.actions import Plan
from modelyard.sync.planning.planner import plan_sync
from modelyard.transfer.options import TransferOptions
from modelyard.wire.agents.manifests import ManifestEntry
from modelyard.wire.folders.manifest import FolderFile, build_manifest, get_file_hash, sort_files
from tests.sync.factories import build_entry, build_policy
from tests.transfer.faulty_server import FaultyServer
from tests.waiting import PATIENCE_SECONDS

# Retries soon, and does not give up on a slow machine.
NETWORK_OPTIONS = TransferOptions(
    connect_timeout_seconds=PATIENCE_SECONDS,
    stall_timeout_seconds=PATIENCE_SECONDS,
    response_timeout_seconds=PATIENCE_SECONDS,
    no_progress_timeout_seconds=PATIENCE_SECONDS,
    initial_backoff_seconds=0.01,
    max_backoff_seconds=0.05,
    range_size=200_000,
)
DEFAULT_OPTIONS = ApplyOptions(network=NETWORK_OPTIONS)


def hash_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class ModelStore:
    """The models of a registry, whose content a real HTTP server serves."""

    server: FaultyServer
    requested_ids: list[UUID] = field(default_factory=list)
    requested_versions: list[int] = field(default_factory=list)
    requested_files: list[str] = field(default_factory=list)  # of folders
    folder_files: dict[str, tuple[FolderFile, ...] | str] = field(default_factory=dict)

    def add_model(self, path: str, content: bytes, **facts: object) -> ManifestEntry:
        """Add a model that can be downloaded."""
        entry = build_entry(
            path, "", **({"file_size": len(content), "file_hash": f"sha256:{hash_bytes(content)}"} | facts)
        )
        self.server.put(f"/{entry.id}", content)
        return entry

    def add_folder(self, path: str, files: Mapping[str, bytes], **facts: object) -> ManifestEntry:
        """Add a folder model whose files can be downloaded."""
        listed = sort_files(FolderFile(name, hash_bytes(content), len(content)) for name, content in files.items())
        manifest = build_manifest(listed)
        self.folder_files[hash_bytes(manifest)] = tuple(listed)
        for content in files.values():
            self.server.put(f"/{hash_bytes(content)}", content)
        defaults = {"file_size": len(manifest), "file_hash": get_file_hash(manifest), "is_folder": True}
        return build_entry(path, "", **(defaults | facts))

    async def get_file_url(self, desired: DesiredModel) -> str:
        self.requested_files.append(desired.file_path or "")
        return self.server.url(f"/{desired.sha256}")

    async def get_download_url(self, model_id: UUID, version: int) -> str:
        self.requested_ids.append(model_id)
        self.requested_versions.append(version)
        return self.server.url(f"/{model_id}")


class RealMachine:
    """An agent's machine. ``models`` is its only models folder unless there are other ``installs``."""

    def __init__(self, models: Path, state: Path, store: ModelStore, agent_id: str = "render-07") -> None:
        models.mkdir(parents=True, exist_ok=True)
        self.models = models
        self.work = models / WORK_FOLDER
        self.store = store
        self.agent_id = agent_id
        self.installs: tuple[Install, ...] = (build_plain_install(models),)
        self.state = state

    @contextmanager
    def open_state(self) -> Iterator[MachineState]:
        with StateFile(self.state / f"{self.agent_id}.sqlite") as state:
            yield MachineState(self.agent_id, HashIndex(state), PlacementJournal(state))

    @property
    def placements(self) -> list[Placement]:
        with self.open_state() as machine:
            return machine.journal.list_placements()

    def plan(self, *models: ManifestEntry, **policy: object) -> Plan:
        with self.open_state() as machine:
            return self.scan_and_plan(machine, self._build_desired(models), **policy)

    def sync(
        self, *models: ManifestEntry, options: ApplyOptions = DEFAULT_OPTIONS, **policy: object
    ) -> dict[str, ReplicaState]:
        """Scan, plan and apply once; return the states by path, or the last one of each path."""
        with self.open_state() as machine:
            plan = self.scan_and_plan(machine, self._build_desired(models), **policy)
            return self._apply(plan, machine, options)

    def apply(
        self, plan: Plan, options: ApplyOptions = DEFAULT_OPTIONS, on_progress: OnReplicaState = ignore_replica_state
    ) -> dict[str, ReplicaState]:
        with self.open_state() as machine:
            return self._apply(plan, machine, options, on_progress)

    def _build_desired(self, models: Iterable[ManifestEntry]) -> DesiredState:
        return build_desired_state(models, folder_files=self.store.folder_files)

    def _apply(
        self,
        plan: Plan,
        machine: MachineState,
        options: ApplyOptions,
        on_progress: OnReplicaState = ignore_replica_state,
    ) -> dict[str, ReplicaState]:
        options = replace(options, get_file_url=self.store.get_file_url)
        return group_by_path(asyncio.run(apply_plan(plan, machine, self.store.get_download_url, options, on_progress)))

    def write_user_file(self, path: str, content: bytes) -> Path:
        """Write a user's file with an old modification time."""
        file = self.models / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, (1_600_000_000, 1_600_000_000))
        return file

    def read_files(self) -> dict[str, bytes]:
        """Return the content of all files outside the work folder by relative path."""
        return {
            str(path.relative_to(self.models)): path.read_bytes()
            for path in sorted(self.models.rglob("*"))
            if path.is_file() and WORK_FOLDER not in path.parts
        }

    def list_work_files(self) -> list[str]:
        """Return the names in the work folder, those in the trash without their times."""
        return sorted(
            str(path.relative_to(self.work)).split(".")[0] if "trash/" in str(path) else path.name
            for path in self.work.rglob("*")
            if path.is_file()
        )

    def scan_and_plan(self, machine: MachineState, desired: DesiredState, **policy: object) -> Plan:
        """Scan with a state file that is open already, and plan."""
        inventory = scan_roots(self.installs, desired.models, machine)
        return plan_sync(desired, inventory, build_policy(**policy))


def group_by_path(replica_states: tuple[ReplicaState, ...]) -> dict[str, ReplicaState]:
    return {replica_state.model_path: replica_state for replica_state in replica_states}
