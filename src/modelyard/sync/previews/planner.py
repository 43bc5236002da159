"""Compute which pictures to write beside models, and which to remove. Pure; performs no I/O.

Rules that hold for every plan:

- Only files that the journal of previews *and* their hash prove to be the agent's own are replaced or removed.
- No picture is written beside a model that has one of the user's under any name that programs look for.
- A picture stays as long as its model is here but not ready, such as while its removal is held.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from modelyard.comfyui.layout import LAYOUT
from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.planning.actions import Plan, Remove, Target
from modelyard.sync.planning.ownership import Ownership, RootLookup, determine_ownership

SUFFIX = ".preview.png"
# The names under which ComfyUI and other programs look for a model's picture: they continue its stem.
_EXTENSIONS = ("png", "jpg", "jpeg", "webp", "gif", "avif", "jxl", "mp4", "webm")
SIDECAR_SUFFIXES = tuple(f"{middle}.{extension}" for middle in (".preview", "") for extension in _EXTENSIONS)


@dataclass(frozen=True)
class ReadyModel:
    """A model that is in place, and the SHA-256 of the picture that the registry shows for it; None without one."""

    path: Path
    picture_sha256: str | None


@dataclass(frozen=True)
class WritePreview:
    """Write a picture, in place of an own file if ``old_placement`` is given."""

    target: Target
    picture_sha256: str
    old_placement: Placement | None = None


@dataclass(frozen=True)
class PreviewPlan:
    """The changes of a plan. ``journal_changes`` has journal rows only, which are applied first."""

    write: tuple[WritePreview, ...] = ()
    remove: tuple[Remove, ...] = ()
    journal_changes: Plan = field(default_factory=Plan)


def get_picture_id(picture_sha256: str) -> UUID:
    """Return the id of a picture in the journal: the first half of its SHA-256."""
    return UUID(picture_sha256[:32])


def get_preview_path(model: Path) -> Path:
    """Return the path of the picture beside a model."""
    return model.with_name(model.stem + SUFFIX)


def plan_previews(models: Iterable[ReadyModel], other_models: Collection[Path], inventory: Inventory) -> PreviewPlan:
    """Compute the plan; the result does not depend on the order of the arguments' parts.

    Args:
        models: the models that are ready. Of two with one stem, the one that sorts first gets its picture.
        other_models: the paths of placed files that are here although their models are not ready or not desired.
        inventory: what is on the disk, with the placements of previews.
    """
    lookup = RootLookup(inventory.installs)
    ownership = determine_ownership(inventory, lookup)
    desired = _find_desired(models, inventory, ownership, lookup)
    kept = {get_preview_path(path) for path in other_models}
    return PreviewPlan(
        tuple(
            WritePreview(target, sha256, ownership.owned.get(path))
            for path, (target, sha256) in sorted(desired.items())
            if not _is_in_place(ownership.owned.get(path), sha256)
        ),
        tuple(
            Remove(placement, target)
            for path, placement in sorted(ownership.owned.items())
            if path not in desired and path not in kept and (target := _find_writable(path, lookup)) is not None
        ),
        _plan_journal_changes(ownership),
    )


def _find_desired(
    models: Iterable[ReadyModel], inventory: Inventory, ownership: Ownership, lookup: RootLookup
) -> dict[Path, tuple[Target, str]]:
    """Return target and picture by path, for the models that should have a picture of the agent's beside them."""
    users_names = {str(path).casefold() for path in inventory.files if path not in ownership.owned}
    desired: dict[Path, tuple[Target, str]] = {}
    for model in sorted(models, key=lambda model: str(model.path)):
        path = get_preview_path(model.path)
        # A model that is reached through a linked folder is not listed: nothing is written through links.
        if model.picture_sha256 is None or model.path not in inventory.files or path in ownership.unavailable:
            continue
        if inventory.files[model.path].kind in ("folder", "model_folder"):
            continue  # ComfyUI shows no pictures of folders
        if _has_sidecar(model.path, users_names):
            continue
        target = _find_writable(path, lookup)
        # ComfyUI lists every file in the folders that custom nodes add, pictures too.
        if target is not None and target.root.key in LAYOUT:
            desired.setdefault(path, (target, model.picture_sha256))
    return desired


def _has_sidecar(model: Path, users_names: Collection[str]) -> bool:
    """Return whether a file that is not the agent's has a name for the model's picture, in any letter case."""
    stem = str(model.with_name(model.stem)).casefold()
    return any(stem + suffix in users_names for suffix in SIDECAR_SUFFIXES)


def _is_in_place(placement: Placement | None, picture_sha256: str) -> bool:
    """Return whether the agent's file at a path has this picture already."""
    return placement is not None and placement.model_id == get_picture_id(picture_sha256)


def _find_writable(path: Path, lookup: RootLookup) -> Target | None:
    """Return the path as a target; None if it is in no root, or in one where nothing can be written."""
    target = lookup.find_target(path)
    return target if target is not None and target.root.problem is None else None


def _plan_journal_changes(ownership: Ownership) -> Plan:
    """Return the journal rows to write and delete: a file that is gone, changed or the user's is not the agent's."""
    users = [*ownership.found.values(), *ownership.changed.values()]
    written = [row for row in ownership.rows_to_write.values() if row.origin == "placed"]
    return Plan(rows_to_write=tuple(written), rows_to_delete=(*ownership.rows_to_delete, *users))
