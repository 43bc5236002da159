"""Wanted models, disks and journals made up for a test; whatever it does not say has a default."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

from modelyard.client.sync.holding.ground import Space
from modelyard.client.sync.holding.holdings import Holdings
from modelyard.client.sync.holding.journal import Entry, Origin
from modelyard.client.sync.holding.listing import Held
from modelyard.client.sync.holding.roots import LAYOUT, RootOnDisk
from modelyard.client.sync.planning.actions import Adopt, Fetch, Plan, Replace, Source
from modelyard.client.sync.planning.plan import Policy, plan_sync
from modelyard.client.sync.wanted import Wanted, WantedList, read_wanted
from modelyard.wire.agents import WantedModel

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MODELS = Path("/comfy/models")
DISK = 5
GB = 10**9

_ids = UUID("00000000-0000-4000-8000-000000000000")


def sha256_of(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def model(path: str, content: str = "", **facts: object) -> WantedModel:
    """What a registry says of a model; the hash is that of ``content``, the size that of the text unless it is said."""
    content = content or path
    said: dict[str, object] = {
        "id": uuid5(_ids, path),
        "model_path": path,
        "model_type": path.removeprefix("models/").partition("/")[0],
        "file_size": len(content.encode()),
        "file_hash": f"sha256:{sha256_of(content)}",
        "blake3_hash": None,
        "updated_at": NOW,
        "keep": False,
    }
    return WantedModel.model_validate(said | facts)


def wanted(*models: WantedModel) -> WantedList:
    return read_wanted(models)


def install(models: Path = MODELS, device: int = DISK, **facts: object) -> tuple[RootOnDisk, ...]:
    """A ComfyUI whose folders are all there."""
    roots = [
        RootOnDisk(key, models / folder, models / folder, models / ".modelyard", device, 1)
        for key, folders in LAYOUT.items()
        for folder in folders
    ]
    return tuple(replace(root, **facts) for root in roots)  # type: ignore[arg-type]  # facts are fields by name


class Disk:
    """A machine's disk that is filled step by step, and the journal that goes with it."""

    def __init__(self, *installs: tuple[RootOnDisk, ...], free: int = 1000 * GB) -> None:
        self.installs = installs or (install(),)
        self.files: dict[Path, Held] = {}
        self.entries: dict[tuple[Path, str], Entry] = {}
        devices = {root.device for roots in self.installs for root in roots}
        self.spaces = {device: Space(Path("/comfy"), 2000 * GB, free) for device in devices}
        self.trash: dict[tuple[int, str], Path] = {}
        self.partial: dict[tuple[int, str], int] = {}
        self.removed: set[Path] = set()
        self._inodes = 100

    def __repr__(self) -> str:
        """What a failing example shows."""
        things = [*self.files.values(), *self.entries.values(), *self.trash.items()]
        return "\n".join(["", *(f"    {thing}" for thing in things)])

    def file(self, path: str, content: str = "", **facts: object) -> Path:
        """Somebody's file, below the models folder if the path is relative."""
        self._inodes += 1
        place = MODELS / path
        said: dict[str, object] = {
            "kind": "file",
            "size": len((content or path).encode()),
            "device": DISK,
            "inode": self._inodes,
            "mtime_ns": int((NOW - timedelta(days=30)).timestamp() * 1e9),
            "sha256": sha256_of(content or path),
        }
        self.files[place] = Held(place, **(said | facts))  # type: ignore[arg-type]  # facts are fields by name
        return place

    def row(self, path: str, content: str = "", origin: Origin = "placed", **facts: object) -> Entry:
        """A row of the journal."""
        size = len((content or path).encode())
        entry = Entry(MODELS / path, sha256_of(content or path), size, uuid5(_ids, path), origin)
        entry = replace(entry, **facts)  # type: ignore[arg-type]  # facts are fields by name
        self.entries[entry.path, entry.sha256] = entry
        return entry

    def placed(self, path: str, content: str = "") -> Path:
        """A file that the agent placed."""
        self.row(path, content)
        return self.file(path, content)

    def held(self) -> Holdings:
        return Holdings(
            self.installs,
            dict(self.files),
            tuple(self.entries.values()),
            self.spaces,
            self.trash,
            self.partial,
            frozenset(self.removed),
        )

    def plan(self, *models: WantedModel, **policy: object) -> Plan:
        return plan_sync(wanted(*models), self.held(), policy_of(**policy))

    def carry_out(self, plan: Plan) -> None:
        """What a plan that meets no trouble makes of this disk."""
        for entry in plan.confirm:
            self._confirm(entry)
        for entry in plan.forget:
            self.entries.pop((entry.path, entry.sha256), None)
        steps: list[Fetch | Adopt | Replace] = [*plan.fetch, *plan.adopt, *plan.replace]
        while steps:
            step = next(step for step in steps if self._may_go(step))
            steps.remove(step)
            source = None if isinstance(step, Fetch) else step.source
            self._bring(step.wanted, step.target.path, step.target.root.device, source)
        for removal in plan.remove:
            gone = self.files.pop(removal.target.path)
            assert gone.sha256 == removal.entry.sha256
            self.entries.pop((removal.entry.path, removal.entry.sha256))
        self.removed |= {removal.target.path for removal in plan.remove}
        if plan.is_removal_approved:
            self.removed.clear()

    def _may_go(self, step: Fetch | Adopt | Replace) -> bool:
        """Whether what it is made from is there already."""
        if isinstance(step, Fetch) or step.source is None or step.source.kind != "planned":
            return True
        there = self.files.get(step.source.path)
        return there is not None and there.sha256 == step.wanted.sha256

    def _bring(self, model: Wanted, path: Path, device: int, source: Source | None) -> None:
        self._inodes += 1
        inode = self._inodes
        if source is not None and source.kind == "trash":
            del self.trash[device, model.sha256]
        elif source is not None:
            bytes_there = self.files[source.path]
            assert bytes_there.sha256 == model.sha256
            inode = bytes_there.inode if source.may_link and bytes_there.device == device else inode
        self.files[path] = Held(path, "file", model.size, device, inode, 0, model.sha256)
        self._confirm(Entry(path, model.sha256, model.size, model.id, "placed"))

    def _confirm(self, entry: Entry) -> None:
        for key in [key for key in self.entries if key[0] == entry.path]:
            del self.entries[key]
        self.entries[entry.path, entry.sha256] = entry


def policy_of(**policy: object) -> Policy:
    return replace(Policy(NOW), **policy)  # type: ignore[arg-type]  # fields by name
