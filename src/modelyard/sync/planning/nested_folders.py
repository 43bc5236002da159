"""Find folder models inside or around the place of another model, which have to be removed first."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.folder_lists import list_folder_paths
from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.planning.actions import Blocked, Keep
from modelyard.sync.planning.ownership import Ownership
from modelyard.sync.planning.resolution import Need, resolve_model


def resolve_nested_model(
    desired: DesiredModel, roots: tuple[RootOnDisk, ...], inventory: Inventory, ownership: Ownership
) -> Keep | Need | Blocked:
    """Decide about a model in one install as ``resolve_model`` does, also if it moved to a folder above its own one.

    Then it is needed, and waits for the removal of that folder, if nothing else is in its way.
    """
    result = resolve_model(desired, roots, inventory, ownership)
    if not desired.is_folder or not isinstance(result, Blocked) or result.state != "conflict":
        return result
    inner = {
        path: placement
        for path in (root.path / desired.name for root in roots)
        if (placement := find_inner_folder(desired, path, inventory, ownership)) is not None
    }
    if not inner:
        return result
    files = {path: file for path, file in inventory.files.items() if path not in inner}
    later = resolve_model(desired, roots, replace(inventory, files=files), ownership)
    if isinstance(later, Need):
        return replace(later, waits_for=inner[min(inner)])
    return later if isinstance(later, Blocked) else result


def find_outer_folder(path: Path, ownership: Ownership, claimed: Collection[Path]) -> Placement | None:
    """Return the placed folder that contains a path and that no desired model has; None if there is none."""
    for parent in path.parents:
        placement = ownership.owned.get(parent)
        if placement is not None and placement.is_folder and parent not in claimed:
            return placement
    return None


def find_inner_folder(
    desired: DesiredModel, path: Path, inventory: Inventory, ownership: Ownership
) -> Placement | None:
    """Return a folder below ``path`` that was placed for this model earlier, if everything below belongs to such.

    Folders between the two stay when it is removed, so they must be folders of the model.
    """
    inner = {
        folder: placement
        for folder, placement in ownership.owned.items()
        if placement.is_folder and placement.model_id == desired.id and path in folder.parents
    }
    if not inner:
        return None
    if (obstacle := inventory.files.get(path)) is not None and obstacle.link is not None:
        return None
    own = {path / folder for folder in list_folder_paths(desired.files)}
    between = {parent for folder in inner for parent in folder.parents} & own
    for entry in inventory.files:
        is_below = path in entry.parents
        if is_below and entry not in between and inner.keys().isdisjoint((entry, *entry.parents)):
            return None
    return inner[min(inner)]
