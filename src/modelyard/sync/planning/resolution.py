"""Determine which file ComfyUI would load for a desired model, and what has to be done about it in one install."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelyard.comfyui.quoting import quoted
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.inventory.listing import FolderEntry
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.roots import RootOnDisk, choose_root
from modelyard.sync.planning import blockers
from modelyard.sync.planning.actions import Blocked, Keep, Target
from modelyard.sync.planning.ownership import Ownership
from modelyard.wire.agents.values import ModelState

_Position = Literal["before", "there", "behind"]
# Entries that ComfyUI ignores when it looks for a file.
_IGNORED_KINDS = frozenset({"folder", "dangling", "other", "parent_is_file"})


@dataclass(frozen=True)
class Need:
    """Content that has to be placed at ``target``; ``old_placement`` is the agent's own file that is there now.

    ``waits_for``: a placed folder, above or below the target, that has to be removed first.
    """

    desired: DesiredModel
    target: Target
    old_placement: Placement | None = None
    waits_for: Placement | None = None


def resolve_model(
    desired: DesiredModel, roots: tuple[RootOnDisk, ...], inventory: Inventory, ownership: Ownership
) -> Keep | Need | Blocked:
    """Decide for one install whether a model is kept, needed or blocked.

    Goes through the ``roots`` of the model's key in ComfyUI's order: the first that has a file of this name decides.
    The right content in any root is accepted if ComfyUI finds it. The agent's own files with other content in other
    roots are ignored: no model needs them, so they are removed.
    """
    preferred_root = choose_root(roots, desired)
    if preferred_root is None:
        return _build_blocked(desired, "blocked", blockers.describe_missing_folder(desired))
    target = Target(preferred_root, desired.name)
    is_behind = False  # whether the current root comes after the target's root
    for root in roots:
        path = root.path / desired.name
        file = inventory.files.get(path)
        if not root.is_listed and (root == preferred_root or path in ownership.unavailable):
            return _build_blocked(desired, "blocked", root.problem or "")
        if file is not None and file.kind not in _IGNORED_KINDS:
            if file.sha256 == desired.sha256:
                return _build_keep(desired, root, path, file, ownership)
            placement = ownership.owned.get(file.path)
            if placement is not None and root == preferred_root and root.problem is None:
                return Need(desired, target, placement)
            if placement is None:
                position: _Position = "there" if root == preferred_root else "behind" if is_behind else "before"
                return _build_occupied(desired, file, target, ownership, position)
        is_behind = is_behind or root == preferred_root
    obstacle = inventory.files.get(target.path)
    if obstacle is not None and obstacle.kind in _IGNORED_KINDS:
        return _build_blocked(desired, "conflict", blockers.describe_obstacle(obstacle))
    return (
        Need(desired, target)
        if preferred_root.problem is None
        else _build_blocked(desired, "blocked", preferred_root.problem)
    )


def _build_keep(desired: DesiredModel, root: RootOnDisk, path: Path, file: FolderEntry, ownership: Ownership) -> Keep:
    """Build the result for a file in place, with a remark if the disk spells its name differently."""
    remark = None
    if file.link is None and file.path != path:
        name = file.path.relative_to(root.path)
        remark = f"ComfyUI lists it as {quoted(name)}: this file system treats the two names as one. Rename the file."
    return Keep(desired, file.path, "placed" if file.path in ownership.owned else "found", remark)


def _build_occupied(
    desired: DesiredModel, file: FolderEntry, target: Target, ownership: Ownership, position: _Position
) -> Blocked:
    """Return why a file that is not the agent's own, and that has the model's name, blocks it."""
    if file.kind == "model_folder":
        return _build_blocked(desired, "conflict", blockers.describe_other_folder(file))
    if file.sha256 is None:
        return _build_blocked(desired, "blocked", blockers.describe_obstacle(file))
    if position == "before":
        return _build_blocked(desired, "conflict", blockers.describe_shadowing_file(desired, file, target.path))
    if position == "behind":
        return _build_blocked(
            desired, "conflict", blockers.describe_file_that_would_be_hidden(desired, file, target.path)
        )
    changed = ownership.changed.get(file.path)
    was_placed = changed is not None and changed.origin == "placed"
    return _build_blocked(
        desired, "conflict", blockers.describe_different_content(desired, file, was_placed=was_placed)
    )


def _build_blocked(desired: DesiredModel, state: ModelState, reason: str) -> Blocked:
    """Build the result for a model that cannot be placed, with state and reason."""
    return Blocked(desired.id, desired.version, desired.model_path, state, reason)
