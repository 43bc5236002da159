"""Factories for desired models, simulated disks and journals; every field has a default."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

from modelyard.comfyui.layout import LAYOUT
from modelyard.sync.desired import DesiredModel, DesiredState, build_desired_state
from modelyard.sync.inventory.filesystem import FilesystemSpace
from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.inventory.listing import FolderEntry
from modelyard.sync.inventory.placement_journal import Origin, Placement
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.planning.actions import CopyLocal, Fetch, Plan, Replace, Source
from modelyard.sync.planning.planner import Policy, plan_sync
from modelyard.wire.agents.manifests import ManifestEntry

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MODELS = Path("/comfy/models")
DISK = 5
GB = 10**9

_ids = UUID("00000000-0000-4000-8000-000000000000")


def hash_text(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def build_entry(path: str, content: str = "", **facts: object) -> ManifestEntry:
    """Build a manifest entry; its hash is that of ``content``, its size the length of the text unless given."""
    content = content or path
    defaults: dict[str, object] = {
        "id": uuid5(_ids, path),
        "version": 1,
        "model_path": path,
        "model_type": path.removeprefix("models/").partition("/")[0],
        "file_size": len(content.encode()),
        "file_hash": f"sha256:{hash_text(content)}",
        "blake3_hash": None,
        "updated_at": NOW,
        "keep": False,
    }
    return ManifestEntry.model_validate(defaults | facts)


def build_desired(*models: ManifestEntry) -> DesiredState:
    return build_desired_state(models)


def build_install(models: Path = MODELS, device: int = DISK, **facts: object) -> tuple[RootOnDisk, ...]:
    """Build the roots of a ComfyUI whose folders all exist."""
    roots = [
        RootOnDisk(key, models / folder, models / folder, models / ".modelyard", device, 1)
        for key, folders in LAYOUT.items()
        for folder in folders
    ]
    return tuple(replace(root, **facts) for root in roots)  # type: ignore[arg-type]  # facts are fields by name


class SimulatedDisk:
    """A machine's disk and journal in memory, filled step by step."""

    def __init__(self, *installs: tuple[RootOnDisk, ...], free: int = 1000 * GB, can_clone: bool = False) -> None:
        self.installs = installs or (build_install(),)
        self.files: dict[Path, FolderEntry] = {}
        self.placements: dict[tuple[Path, str], Placement] = {}
        devices = {root.device for roots in self.installs for root in roots}
        self.spaces = {
            device: FilesystemSpace(Path("/comfy"), 2000 * GB, free, supports_reflinks=can_clone) for device in devices
        }
        self.trash_files: dict[tuple[int, str], Path] = {}
        self.partial_downloads: dict[tuple[int, str], int] = {}
        self.partial_copies: dict[tuple[int, str], int] = {}
        self.recent_removals: set[Path] = set()
        self._inodes = 100

    def __repr__(self) -> str:
        """Return the files, placements and trash, for the report of a failing example."""
        entries = [*self.files.values(), *self.placements.values(), *self.trash_files.items()]
        return "\n".join(["", *(f"    {entry}" for entry in entries)])

    def add_user_file(self, path: str, content: str = "", **facts: object) -> Path:
        """Add a user's file, below the models folder if the path is relative."""
        self._inodes += 1
        absolute = MODELS / path
        defaults: dict[str, object] = {
            "kind": "file",
            "size": len((content or path).encode()),
            "device": DISK,
            "inode": self._inodes,
            "mtime_ns": int((NOW - timedelta(days=30)).timestamp() * 1e9),
            "sha256": hash_text(content or path),
        }
        self.files[absolute] = FolderEntry(absolute, **(defaults | facts))  # type: ignore[arg-type]  # facts are fields by name
        return absolute

    def add_placement(self, path: str, content: str = "", origin: Origin = "placed", **facts: object) -> Placement:
        """Add a row to the journal."""
        size = len((content or path).encode())
        placement = Placement(MODELS / path, hash_text(content or path), size, uuid5(_ids, path), origin)
        placement = replace(placement, **facts)  # type: ignore[arg-type]  # facts are fields by name
        self.placements[placement.path, placement.sha256] = placement
        return placement

    def add_placed_file(self, path: str, content: str = "") -> Path:
        """Add a file that the agent placed, with its journal row."""
        self.add_placement(path, content)
        return self.add_user_file(path, content)

    def build_inventory(self) -> Inventory:
        return Inventory(
            self.installs,
            dict(self.files),
            tuple(self.placements.values()),
            self.spaces,
            self.trash_files,
            self.partial_downloads,
            frozenset(self.recent_removals),
            self.partial_copies,
        )

    def plan(self, *models: ManifestEntry, **policy: object) -> Plan:
        return plan_sync(build_desired(*models), self.build_inventory(), build_policy(**policy))

    def apply(self, plan: Plan) -> None:
        """Change the disk as applying the plan without failures would."""
        for placement in plan.rows_to_write:
            self._confirm(placement)
        for placement in plan.rows_to_delete:
            self.placements.pop((placement.path, placement.sha256), None)
        actions: list[Fetch | CopyLocal | Replace] = [*plan.fetch, *plan.copy_local, *plan.replace]
        while actions:
            action = next(action for action in actions if self._can_run(action))
            actions.remove(action)
            source = None if isinstance(action, Fetch) else action.source
            self._place(action.desired, action.target.path, action.target.root.device, source)
        for removal in plan.remove:
            removed = self.files.pop(removal.target.path)
            assert removed.sha256 == removal.placement.sha256
            self.placements.pop((removal.placement.path, removal.placement.sha256))
        self.recent_removals |= {removal.target.path for removal in plan.remove}
        if any(removal.is_approved for removal in plan.remove):
            self.recent_removals.clear()

    def _can_run(self, action: Fetch | CopyLocal | Replace) -> bool:
        """Return whether the action's source exists already."""
        if isinstance(action, Fetch) or action.source is None or action.source.kind != "planned":
            return True
        file = self.files.get(action.source.path)
        return file is not None and file.sha256 == action.desired.sha256

    def _place(self, desired: DesiredModel, path: Path, device: int, source: Source | None) -> None:
        self._inodes += 1
        inode = self._inodes
        if source is not None and source.kind == "trash":
            del self.trash_files[device, desired.sha256]
        elif source is not None:
            file = self.files[source.path]
            assert file.sha256 == desired.sha256
            inode = file.inode if source.is_link_allowed and file.device == device else inode
        self.files[path] = FolderEntry(path, "file", desired.size, device, inode, 0, desired.sha256)
        self._confirm(Placement(path, desired.sha256, desired.size, desired.id, "placed"))

    def _confirm(self, placement: Placement) -> None:
        for key in [key for key in self.placements if key[0] == placement.path]:
            del self.placements[key]
        self.placements[placement.path, placement.sha256] = placement


def build_policy(**policy: object) -> Policy:
    return replace(Policy(NOW), **policy)  # type: ignore[arg-type]  # fields by name
