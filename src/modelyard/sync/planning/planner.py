"""Compute the sync plan: the actions that bring a machine to its desired state. Pure; performs no I/O.

Rules that hold for every plan, whatever the registry sends:

- Only files that the journal *and* their hash prove to be the agent's own are replaced or removed.
- A model that is rejected, or cannot be placed now, keeps what this machine has of it.
- Nothing is placed where ComfyUI would not load it, and nothing that would hide a user's file.
- Many removals, at once or one by one, are held until a user approves them (``removal_limit.py``).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from modelyard.sync.desired import DesiredModel, DesiredState
from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.planning import blockers
from modelyard.sync.planning.actions import (
    Blocked,
    BlockedRemoval,
    CopyLocal,
    Fetch,
    HeldRemovals,
    Keep,
    Plan,
    Remove,
    Replace,
    Source,
)
from modelyard.sync.planning.candidates import SourceCandidates, SpaceBudget, get_latest_linkable_mtime
from modelyard.sync.planning.nested_folders import find_outer_folder, resolve_nested_model
from modelyard.sync.planning.ownership import RootLookup, determine_ownership
from modelyard.sync.planning.removal_limit import hold_removals
from modelyard.sync.planning.resolution import Need
from modelyard.wire.agents.values import DAMAGED_REASON, ModelState


@dataclass(frozen=True)
class Policy:
    """What the operator of a machine allows."""

    now: datetime
    keep_free_bytes: int = 0  # on each file system
    disk_budget_bytes: int | None = None  # total of placed files
    # Removals that exceed the limit are planned if a user approved exactly this set, see ``build_removal_token``.
    approved_removal_tokens: frozenset[str] = frozenset()
    # Path and hash of removals that were approved with an earlier plan and are not done yet.
    approved_files: frozenset[tuple[Path, str]] = frozenset()
    are_hard_links_allowed: bool = False  # see ``get_latest_linkable_mtime``
    has_removal_limit: bool = True  # False: the key was revoked and everything is to be removed


def plan_sync(desired: DesiredState, inventory: Inventory, policy: Policy) -> Plan:
    """Compute the plan; the result does not depend on the order of the arguments' parts."""
    return _Planner(desired, inventory, policy).build_plan()


@dataclass
class _PlanParts:
    """The parts of a plan while it is built."""

    keep: list[Keep] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    fetch: list[Fetch] = field(default_factory=list)
    copy_local: list[CopyLocal] = field(default_factory=list)
    replace: list[Replace] = field(default_factory=list)
    blocked_removals: list[BlockedRemoval] = field(default_factory=list)


@dataclass(frozen=True)
class _Removals:
    """The removals of a plan, those that the removal limit holds, and the token if a user approved such."""

    remove: tuple[Remove, ...]
    held: HeldRemovals | None = None
    approved_token: str | None = None


def _list_hashes(desired: DesiredState) -> Iterator[str]:
    """Yield the hashes of the desired models, and of the files of those that are folders."""
    for model in desired.models:
        yield model.sha256
        yield from (file.sha256 for file in model.files)


def _approve(removals: Iterable[Remove]) -> Iterator[Remove]:
    """Yield the removals as approved."""
    return (replace(removal, is_approved=True) for removal in removals)


def _group_by_key(roots: tuple[RootOnDisk, ...]) -> dict[str, tuple[RootOnDisk, ...]]:
    """Return the roots of an install by key, in their order."""
    grouped: dict[str, tuple[RootOnDisk, ...]] = {}
    for root in roots:
        grouped[root.key] = (*grouped.get(root.key, ()), root)
    return grouped


class _Planner:
    """The computation of one plan."""

    def __init__(self, desired: DesiredState, inventory: Inventory, policy: Policy) -> None:
        self._desired = desired
        self._inventory = inventory
        self._policy = policy
        self._roots = RootLookup(inventory.installs)
        self._ownership = determine_ownership(inventory, self._roots)
        self._rows_to_write = dict(self._ownership.rows_to_write)
        self._installs = [_group_by_key(roots) for roots in inventory.installs]
        self._parts = _PlanParts()
        self._kept_at: dict[Path, list[Keep]] = defaultdict(list)
        self._claimed_paths: dict[Path, DesiredModel] = {}
        self._kept_ids = {*desired.kept_ids, *(entry.id for entry in desired.rejected)}
        self._kept_hashes: set[str] = set()

    def build_plan(self) -> Plan:
        """Resolve all models, assign sources and removals, and return the plan; call it once."""
        for entry in self._desired.rejected:
            self._parts.blocked.append(Blocked(entry.id, entry.version, entry.model_path, entry.state, entry.reason))
        needs = [need for desired in self._desired.models for need in self._find_needs(desired)]
        for entry in self._desired.rejected:
            if entry.waiting_model is not None:
                self._claim_paths(entry.waiting_model)
        self._assign_sources([self._with_outer_folder(need) for need in needs])
        removals = self._plan_removals()
        parts = self._parts
        return Plan(
            rows_to_write=self._list_rows_to_write(),
            rows_to_delete=tuple(sorted(self._list_rows_to_delete(), key=lambda entry: (entry.path, entry.sha256))),
            fetch=tuple(parts.fetch),
            copy_local=tuple(parts.copy_local),
            replace=tuple(parts.replace),
            remove=removals.remove,
            blocked_removals=tuple(parts.blocked_removals),
            held_removals=removals.held,
            approved_removal_token=removals.approved_token,
            keep=tuple(parts.keep),
            blocked=tuple(parts.blocked),
            notes=self._list_notes(),
            work_folders=self._list_work_folders(),
            has_unread_work_folders=any(not root.is_listed for roots in self._inventory.installs for root in roots),
            kept_partial_hashes=frozenset(_list_hashes(self._desired)),
        )

    def _find_needs(self, desired: DesiredModel) -> list[Need]:
        """Return what has to be placed for one model, install by install, and claim its paths.

        Kept and blocked results are not returned but recorded as parts of the plan.
        """
        needs: list[Need] = []
        for by_key in self._installs:
            roots = by_key.get(desired.model_type, ())
            result = resolve_nested_model(desired, roots, self._inventory, self._ownership)
            if isinstance(result, Blocked):
                self._add_blocked(desired, result.state, result.reason)
                self._claim_paths_in(roots, desired)
                continue
            path = result.path if isinstance(result, Keep) else result.target.path
            other = self._claimed_paths.setdefault(path, desired)
            if isinstance(result, Need) and result.old_placement is not None:
                self._claimed_paths.setdefault(result.old_placement.path, desired)  # another spelling of the same name
            if other.sha256 != desired.sha256:
                self._add_blocked(desired, "conflict", blockers.describe_path_conflict(desired, other, path))
            elif isinstance(result, Keep):
                self._add_keep(result)
            elif all(need.target.path != path for need in needs) and other == desired:
                needs.append(result)
        return needs

    def _claim_paths(self, desired: DesiredModel) -> None:
        """Claim every path of a model in all installs, see ``_claim_paths_in``."""
        for by_key in self._installs:
            self._claim_paths_in(by_key.get(desired.model_type, ()), desired)

    def _claim_paths_in(self, roots: tuple[RootOnDisk, ...], desired: DesiredModel) -> None:
        """Claim every path at which ComfyUI would find the model.

        Nothing at a claimed path is removed. A path keeps its first claim.
        """
        for root in roots:
            self._claimed_paths.setdefault(root.path / desired.name, desired)

    def _add_keep(self, keep: Keep) -> None:
        """Record a model that is in place, and the row to write if its file has none or one of another model."""
        if any(keep.desired == kept.desired for kept in self._kept_at[keep.path]):
            return  # another install shares the folder
        self._kept_at[keep.path].append(keep)
        self._parts.keep.append(keep)
        placement = self._ownership.owned.get(keep.path) or self._ownership.found.get(keep.path)
        if placement is None:
            self._rows_to_write[keep.path] = Placement(
                *(keep.path, keep.desired.sha256, keep.desired.size, keep.desired.id, "found"),
                is_folder=keep.desired.is_folder,
            )
        elif self._claimed_paths[keep.path] == keep.desired and placement.model_id != keep.desired.id:
            self._rows_to_write[keep.path] = replace(placement, model_id=keep.desired.id, is_confirmed=True)

    def _add_blocked(self, desired: DesiredModel, state: ModelState, reason: str) -> None:
        """Record a blocked model; files placed for it, or with a damaged model's content, are not removed."""
        self._parts.blocked.append(Blocked(desired.id, desired.version, desired.model_path, state, reason))
        self._kept_ids.add(desired.id)
        if desired.is_damaged:
            self._kept_hashes.add(desired.sha256)

    def _with_outer_folder(self, need: Need) -> Need:
        """Return the need of a model that belongs into a placed folder, which has to be removed first, as waiting.

        In a placed folder, everything that its model does not list is a user's.
        """
        outer = find_outer_folder(need.target.path, self._ownership, self._claimed_paths)
        return need if outer is None else replace(need, waits_for=outer)

    def _add_queued(self, need: Need, folder: Placement) -> None:
        """Record a model that a later plan places once ``folder`` is removed, which this plan may do."""
        desired = need.desired
        reason = blockers.describe_folder_to_remove(folder.path)
        self._parts.blocked.append(Blocked(desired.id, desired.version, desired.model_path, "queued", reason))
        if folder.model_id != desired.id:
            self._kept_ids.add(desired.id)

    def _assign_sources(self, needs: list[Need]) -> None:
        """Choose a source for each need, most desired first, but damaged models last, and record the actions.

        Blocked are needs for which space is lacking (reflinks and hard links take none), also before smaller ones that
        fit, and damaged models without a local source. Only what passes these checks waits for the removal of a folder:
        the removal may be one of the model itself.
        """
        if not needs:
            return
        policy = self._policy
        replaced_paths = {need.target.path for need in needs if need.old_placement is not None}
        latest_linkable_mtime = get_latest_linkable_mtime(policy.now) if policy.are_hard_links_allowed else None
        candidates = SourceCandidates(self._inventory, self._ownership, replaced_paths, latest_linkable_mtime)
        budget = SpaceBudget(self._inventory, self._ownership, policy.keep_free_bytes, policy.disk_budget_bytes)
        # Damaged models last: they are never downloaded, but may copy from another model's download.
        for need in sorted(needs, key=lambda need: need.desired.is_damaged):
            # A folder takes what it can from other folders while it is completed.
            source = None if need.desired.is_folder else candidates.find_source(need)
            if source is None and need.desired.is_damaged:
                self._add_blocked(need.desired, "blocked", DAMAGED_REASON)
                continue
            if source is None or not candidates.needs_no_space(source, need):
                blocked_reason = budget.reserve(need, source)
                if blocked_reason is not None:
                    self._add_blocked(need.desired, "blocked", blocked_reason)
                    continue
            if need.waits_for is not None:
                self._add_queued(need, need.waits_for)
                continue
            if not need.desired.is_folder:
                candidates.record_use(source, need)
            self._add_action(need, source)

    def _add_action(self, need: Need, source: Source | None) -> None:
        """Record the action for a need: a replacement, a local copy, or else a download."""
        if need.old_placement is not None:
            self._parts.replace.append(Replace(need.desired, need.target, need.old_placement, source))
        elif source is not None:
            self._parts.copy_local.append(CopyLocal(need.desired, need.target, source))
        else:
            self._parts.fetch.append(Fetch(need.desired, need.target))

    def _plan_removals(self) -> _Removals:
        """Decide which removals are done and which the removal limit holds; none while entries have no id.

        Held are all removals without an earlier approval, or none of them.
        """
        removals = [] if self._desired.unidentified_count else self._list_removals()
        others = tuple(removal for removal in removals if not self._was_approved_before(removal))
        approved = tuple(_approve(removal for removal in removals if self._was_approved_before(removal)))
        if not self._policy.has_removal_limit:
            return _Removals((*approved, *_approve(others)))
        # A recently removed file that exists again does not count.
        recent_count = len(self._inventory.recent_removals - self._ownership.owned.keys())
        held = hold_removals(others, len(self._ownership.owned) - len(approved), recent_count)
        if held is None:
            return _Removals((*approved, *others))
        if held.token not in self._policy.approved_removal_tokens:
            return _Removals(approved, held=held)
        return _Removals((*approved, *_approve(others)), approved_token=held.token)

    def _list_removals(self) -> list[Remove]:
        """Return the removals of placed files that are not desired any more, sorted by path; record blocked ones."""
        removals: list[Remove] = []
        for path, placement in sorted(self._ownership.owned.items(), key=lambda own: str(own[0])):
            if (
                path in self._claimed_paths
                or placement.model_id in self._kept_ids
                or placement.sha256 in self._kept_hashes
            ):
                continue
            target = self._roots.find_target(path)
            if target is not None and target.root.problem is None:
                removals.append(Remove(placement, target))
            elif target is not None and target.root.problem is not None:
                self._parts.blocked_removals.append(BlockedRemoval(placement, target.model_path, target.root.problem))
        return removals

    def _was_approved_before(self, removal: Remove) -> bool:
        """Return whether a removal was approved with an earlier plan and has not been done yet."""
        return (removal.placement.path, removal.placement.sha256) in self._policy.approved_files

    def _list_rows_to_write(self) -> tuple[Placement, ...]:
        """Return the rows to write; those of users' files only if a desired model claims the path."""
        rows = [
            placement
            for path, placement in self._rows_to_write.items()
            if placement.origin == "placed" or path in self._claimed_paths
        ]
        return tuple(sorted(rows, key=lambda placement: placement.path))

    def _list_rows_to_delete(self) -> list[Placement]:
        """Return rows that are no longer needed; their files stay."""
        ownership = self._ownership
        rows = list(ownership.rows_to_delete)
        for placement in [*ownership.found.values(), *ownership.changed.values()]:
            # The row of a changed placed file is kept while the file blocks a model.
            is_worth_keeping = placement.origin == "placed" or placement.path not in ownership.changed
            if placement.path not in self._claimed_paths or not is_worth_keeping:
                rows.append(placement)
        confirmed = {(placement.path, placement.sha256) for placement in self._list_rows_to_write()}
        return [placement for placement in rows if (placement.path, placement.sha256) not in confirmed]

    def _list_work_folders(self) -> tuple[Path, ...]:
        """Return all work folders: their trash expires after a day even if nothing else happens."""
        return tuple(
            sorted({root.work_folder for roots in self._inventory.installs for root in roots if root.is_listed})
        )

    def _list_notes(self) -> tuple[str, ...]:
        """Return problems of unreadable folders in which the agent has files, and notes on the desired state."""
        unavailable = self._ownership.unavailable
        notes = {
            root.problem
            for roots in self._inventory.installs
            for root in roots
            if root.problem is not None and not root.is_listed and any(root.contains(path) for path in unavailable)
        }
        return (*sorted(notes), *self._desired.notes)
