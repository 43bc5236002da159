"""The plan: what a machine has to do so that it holds what is wanted. Pure; it decides everything, the rest obeys.

Rules that hold for every plan, whatever a registry says:

- Only files that the journal *and* their hash prove to be the agent's own are replaced or removed.
- A model that is refused, or cannot be brought here now, keeps what this machine has of it.
- Nothing is placed where ComfyUI would not load it, and nothing that would hide a user's file.
- Many removals, at once or one by one, wait for a person (``brake.py``).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from modelyard.client.sync.holding.holdings import Holdings
from modelyard.client.sync.holding.journal import Entry
from modelyard.client.sync.holding.roots import RootOnDisk
from modelyard.client.sync.planning import refusals
from modelyard.client.sync.planning.actions import (
    Adopt,
    Fetch,
    HeldRemoval,
    Keep,
    Plan,
    Refuse,
    Remove,
    Replace,
    Source,
)
from modelyard.client.sync.planning.brake import held_back, removal_token
from modelyard.client.sync.planning.ownership import Places, read_ownership
from modelyard.client.sync.planning.resolving import Need, resolve
from modelyard.client.sync.planning.supply import Room, Supply
from modelyard.client.sync.wanted import Wanted, WantedList
from modelyard.wire.agents import ModelState


@dataclass(frozen=True)
class Policy:
    """What the operator of a machine allows."""

    now: datetime
    keep_free: int = 0  # bytes that stay free on each file system
    disk_budget: int | None = None  # bytes that may be placed in all
    approved_removal: str | None = None  # the token of the removals that somebody approved
    has_brake: bool = True  # False: whoever revoked the key wants everything gone


def plan_sync(wanted: WantedList, held: Holdings, policy: Policy) -> Plan:
    """What has to be done; the same for the same arguments, in whatever order their parts come."""
    return _Planner(wanted, held, policy).plan()


@dataclass
class _Steps:
    """The plan while it is made."""

    keep: list[Keep] = field(default_factory=list)
    refuse: list[Refuse] = field(default_factory=list)
    fetch: list[Fetch] = field(default_factory=list)
    adopt: list[Adopt] = field(default_factory=list)
    replace: list[Replace] = field(default_factory=list)


def _by_key(roots: tuple[RootOnDisk, ...]) -> dict[str, tuple[RootOnDisk, ...]]:
    grouped: dict[str, tuple[RootOnDisk, ...]] = {}
    for root in roots:
        grouped[root.key] = (*grouped.get(root.key, ()), root)
    return grouped


class _Planner:
    def __init__(self, wanted: WantedList, held: Holdings, policy: Policy) -> None:
        self._wanted = wanted
        self._held = held
        self._policy = policy
        self._places = Places(held.installs)
        self._ownership = read_ownership(held, self._places)
        self._confirm = dict(self._ownership.confirm)
        self._installs = [_by_key(roots) for roots in held.installs]
        self._steps = _Steps()
        self._kept_at: dict[Path, list[Keep]] = defaultdict(list)
        self._claimed: dict[Path, Wanted] = {}
        self._kept_ids = {entry.id for entry in wanted.unfit}
        self._kept_hashes: set[str] = set()

    def plan(self) -> Plan:
        for unfit in self._wanted.unfit:
            self._steps.refuse.append(Refuse(unfit.id, unfit.model_path, "failed", unfit.reason))
        needs = [need for wanted in self._wanted.models for need in self._needs(wanted)]
        for unfit in self._wanted.unfit:
            if unfit.place is not None:
                self._claim(unfit.place)
        self._supply(needs)
        remove, held = self._removals()
        steps = self._steps
        return Plan(
            confirm=self._confirmed(),
            forget=tuple(sorted(self._forgotten(), key=lambda entry: (entry.path, entry.sha256))),
            fetch=tuple(steps.fetch),
            adopt=tuple(steps.adopt),
            replace=tuple(steps.replace),
            remove=remove,
            is_removal_approved=self._is_approved(remove),
            held=held,
            keep=tuple(steps.keep),
            refuse=tuple(steps.refuse),
            notes=self._notes(),
            works=self._works(),
            unfinished=frozenset(model.sha256 for model in self._wanted.models),
        )

    def _needs(self, wanted: Wanted) -> list[Need]:
        """What has to be brought for one model, install by install; the rest is noted at once."""
        needs: list[Need] = []
        for by_key in self._installs:
            roots = by_key.get(wanted.model_type, ())
            found = resolve(wanted, roots, self._held, self._ownership)
            if isinstance(found, Refuse):
                self._refuse(wanted, found.state, found.reason)
                self._claim_in(roots, wanted)
                continue
            path = found.path if isinstance(found, Keep) else found.target.path
            other = self._claimed.setdefault(path, wanted)
            if isinstance(found, Need) and found.old is not None:
                self._claimed.setdefault(found.old.path, wanted)  # another spelling, where those are one name
            if other.sha256 != wanted.sha256:
                self._refuse(wanted, "conflict", refusals.same_file(wanted, other, path))
            elif isinstance(found, Keep):
                self._keep(found)
            elif all(need.target.path != path for need in needs) and other == wanted:
                needs.append(found)
        return needs

    def _claim(self, wanted: Wanted) -> None:
        for by_key in self._installs:
            self._claim_in(by_key.get(wanted.model_type, ()), wanted)

    def _claim_in(self, roots: tuple[RootOnDisk, ...], wanted: Wanted) -> None:
        """Every place in which ComfyUI would find it, so that nothing there goes while it is not brought."""
        for root in roots:
            self._claimed.setdefault(root.path / wanted.name, wanted)

    def _keep(self, keep: Keep) -> None:
        if any(keep.wanted == kept.wanted for kept in self._kept_at[keep.path]):
            return  # a second install that shares the folder
        self._kept_at[keep.path].append(keep)
        self._steps.keep.append(keep)
        noted = self._ownership.own.get(keep.path) or self._ownership.found.get(keep.path)
        if noted is None:
            self._confirm[keep.path] = Entry(keep.path, keep.wanted.sha256, keep.wanted.size, keep.wanted.id, "found")
        elif self._claimed[keep.path] == keep.wanted and noted.model_id != keep.wanted.id:
            self._confirm[keep.path] = replace(noted, model_id=keep.wanted.id, is_done=True)

    def _refuse(self, wanted: Wanted, state: ModelState, reason: str) -> None:
        self._steps.refuse.append(Refuse(wanted.id, wanted.model_path, state, reason))
        self._kept_ids.add(wanted.id)
        if wanted.keep:
            self._kept_hashes.add(wanted.sha256)

    def _supply(self, needs: list[Need]) -> None:
        """Give each need its bytes, most wanted first, as long as there is room."""
        if not needs:
            return
        policy = self._policy
        leaving = {need.target.path for need in needs if need.old is not None}
        supply = Supply(self._held, self._ownership, leaving, policy.now)
        room = Room(self._held, self._ownership, policy.keep_free, policy.disk_budget)
        # A damaged model is never fetched, but another model of the same bytes may be.
        for need in sorted(needs, key=lambda need: need.wanted.keep):
            source = supply.source(need)
            if source is None and need.wanted.keep:
                self._refuse(need.wanted, "blocked", refusals.damaged_and_absent())
                continue
            if source is None or not supply.is_linked(source, need):
                refusal = room.refusal(need, source)
                if refusal is not None:
                    self._refuse(need.wanted, "blocked", refusal)
                    continue
            supply.use(source, need)
            self._bring(need, source)

    def _bring(self, need: Need, source: Source | None) -> None:
        if need.old is not None:
            self._steps.replace.append(Replace(need.wanted, need.target, need.old, source))
        elif source is not None:
            self._steps.adopt.append(Adopt(need.wanted, need.target, source))
        else:
            self._steps.fetch.append(Fetch(need.wanted, need.target))

    def _removals(self) -> tuple[tuple[Remove, ...], HeldRemoval | None]:
        removals: list[Remove] = []
        for path, entry in sorted(self._ownership.own.items(), key=lambda own: str(own[0])):
            if path in self._claimed or entry.model_id in self._kept_ids or entry.sha256 in self._kept_hashes:
                continue
            target = self._places.target_at(path)
            if target is not None and target.root.trouble is None:
                removals.append(Remove(entry, target))
        # What came back is not gone, and what is still here is counted once.
        lately = len(self._held.removed - self._ownership.own.keys())
        held = held_back(tuple(removals), len(self._ownership.own), lately)
        return (tuple(removals), None) if held is None or self._is_approved(removals) else ((), held)

    def _is_approved(self, removals: Iterable[Remove]) -> bool:
        approved = self._policy.approved_removal
        return not self._policy.has_brake or (approved is not None and approved == removal_token(removals))

    def _confirmed(self) -> tuple[Entry, ...]:
        """Rows to write. A user's file is worth one only while it is somebody's model."""
        rows = [entry for path, entry in self._confirm.items() if entry.origin == "placed" or path in self._claimed]
        return tuple(sorted(rows, key=lambda entry: entry.path))

    def _forgotten(self) -> list[Entry]:
        """Rows that say nothing any more; the files stay."""
        ownership = self._ownership
        rows = list(ownership.forget)
        for entry in [*ownership.found.values(), *ownership.changed.values()]:
            # A placed file that was changed is remembered for as long as it is in a model's way.
            is_told = entry.origin == "placed" or entry.path not in ownership.changed
            if entry.path not in self._claimed or not is_told:
                rows.append(entry)
        confirmed = {(entry.path, entry.sha256) for entry in self._confirmed()}
        return [entry for entry in rows if (entry.path, entry.sha256) not in confirmed]

    def _works(self) -> tuple[Path, ...]:
        """The trash rests for a day even where nothing else happens."""
        return tuple(sorted({root.work for roots in self._held.installs for root in roots if root.is_listed}))

    def _notes(self) -> tuple[str, ...]:
        """Folders that cannot be looked at although the agent has files there."""
        away = self._ownership.away
        notes = {
            root.trouble
            for roots in self._held.installs
            for root in roots
            if root.trouble is not None and not root.is_listed and any(root.holds(path) for path in away)
        }
        return tuple(sorted(notes))
