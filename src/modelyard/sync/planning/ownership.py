"""Determine which files are the agent's own: those that it placed according to the journal *and* their content."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.inventory.listing import FolderEntry
from modelyard.sync.inventory.placement_journal import Placement, to_stored_inode
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.planning.actions import Target


@dataclass
class Ownership:
    """The journal rows by what is on the disk. Rows of paths in no listed root, or unreadable, are ``unavailable``."""

    owned: dict[Path, Placement] = field(default_factory=dict)  # placed, and the content is still the same
    found: dict[Path, Placement] = field(default_factory=dict)  # the user's, with the right content, recorded earlier
    changed: dict[Path, Placement] = field(default_factory=dict)  # placed or found, but now with other content
    rows_to_write: dict[Path, Placement] = field(
        default_factory=dict
    )  # rows to write: placements left unconfirmed by a kill
    rows_to_delete: list[Placement] = field(default_factory=list)
    unavailable: dict[Path, Placement] = field(default_factory=dict)  # cannot be read now


class RootLookup:
    """Finds the root that contains a path; results are cached by folder."""

    def __init__(self, installs: Iterable[tuple[RootOnDisk, ...]]) -> None:
        self._roots: dict[str, RootOnDisk] = {}
        for root in (root for roots in installs for root in roots if root.is_listed):
            self._roots.setdefault(str(root.path), root)
        self._root_by_folder: dict[str, RootOnDisk | None] = {}

    def find_target(self, path: Path) -> Target | None:
        """Return the path as a target in the innermost listed root, or None if it is in none."""
        folder, _, name = str(path).rpartition(os.sep)
        if folder not in self._root_by_folder:
            self._root_by_folder[folder] = self._find_innermost_root(folder)
        root = self._root_by_folder[folder]
        if root is None:
            return None
        return Target(root, f"{folder}{os.sep}{name}"[len(str(root.path)) + 1 :].replace(os.sep, "/"))

    def _find_innermost_root(self, folder: str) -> RootOnDisk | None:
        """Return the innermost listed root that is or contains a folder; None if there is none."""
        while folder and folder not in self._roots:
            folder = folder.rpartition(os.sep)[0]
        return self._roots.get(folder)


def determine_ownership(inventory: Inventory, lookup: RootLookup) -> Ownership:
    """Classify each journal row by what is at its path."""
    ownership = Ownership()
    # Sorted by string: comparing Path objects takes ten times as long.
    for placement in sorted(
        inventory.placements, key=lambda placement: (str(placement.path), placement.is_confirmed, placement.sha256)
    ):
        if lookup.find_target(placement.path) is None:
            ownership.unavailable[placement.path] = placement
        else:
            _classify(placement, inventory.files.get(placement.path), ownership)
    for path in ownership.changed.keys() & (ownership.owned.keys() | ownership.found.keys()):
        ownership.rows_to_delete.append(ownership.changed.pop(path))
    return ownership


def _classify(placement: Placement, file: FolderEntry | None, ownership: Ownership) -> None:
    """Add one journal row to ``ownership`` according to the file at its path; None stands for no file.

    A row without a file is to be deleted. A row whose file another program placed becomes that of a found file.
    """
    if file is None:
        ownership.rows_to_delete.append(placement)
    elif file.kind == "unreadable":
        ownership.unavailable[placement.path] = placement
    elif placement.is_folder:
        _classify_folder(placement, file, ownership)
    elif file.is_regular_file and file.path != placement.path:
        _classify_as_spelled(placement, file, ownership)
    elif placement.origin == "found" and file.sha256 == placement.sha256:
        ownership.found[placement.path] = placement
    elif not (file.is_regular_file and file.path == placement.path and file.sha256 == placement.sha256):
        _record_changed(placement, ownership)
    elif placement.is_confirmed or placement.inode == file.inode & (2**63 - 1):
        ownership.owned[placement.path] = placement
        if not placement.is_confirmed:
            ownership.rows_to_write[placement.path] = replace(placement, is_confirmed=True)
    else:
        # The same content in another file than the one to be renamed: another program placed it meanwhile.
        ownership.found[placement.path] = ownership.rows_to_write[placement.path] = replace(
            placement, origin="found", is_confirmed=True
        )


def _classify_folder(placement: Placement, file: FolderEntry, ownership: Ownership) -> None:
    """Add the row of a folder model to ``ownership``: as owned only if it is the very folder that was placed.

    The inode alone does not show that, since file systems use those of deleted folders again: also a file in it must
    have the time that the agent gave it. The other files may be damaged; they are checked when it is removed.
    Some file systems give new inodes after each mount: then it must have exactly the files that were placed, unchanged.
    """
    inode = placement.find_own_inode(file.inode)
    is_renumbered = inode is None and file.has_only_placed_files and file.sha256 == placement.sha256
    if is_renumbered and placement.origin == "placed":
        inode = to_stored_inode(file.inode)
    if placement.origin == "found" and file.sha256 == placement.sha256:
        ownership.found[placement.path] = placement
    elif placement.origin == "found" or inode is None or not file.has_placed_file:
        _record_changed(placement, ownership)
    else:
        owned = replace(placement, is_confirmed=True, inode=inode, replaced_inode=0)
        ownership.owned[placement.path] = owned
        if owned != placement:
            ownership.rows_to_write[placement.path] = owned


def _classify_as_spelled(placement: Placement, file: FolderEntry, ownership: Ownership) -> None:
    """Add a row whose path the file system treats as this file's, although it is spelled differently."""
    spelled = replace(placement, path=file.path)
    _classify(spelled, file, ownership)
    ownership.rows_to_delete.append(placement)
    if spelled in (ownership.owned.get(file.path), ownership.found.get(file.path)):
        ownership.rows_to_write.setdefault(file.path, spelled)


def _record_changed(placement: Placement, ownership: Ownership) -> None:
    """Add the row of a file that is not the agent's any more to ``ownership``, one for each path.

    That is enough to know that the agent had a file there. An unconfirmed row, or an earlier one of the path, is
    deleted.
    """
    if not placement.is_confirmed:
        ownership.rows_to_delete.append(placement)
        return
    if (earlier := ownership.changed.get(placement.path)) is not None:
        ownership.rows_to_delete.append(earlier)
    ownership.changed[placement.path] = placement


def count_owned_bytes(ownership: Ownership, inventory: Inventory) -> int:
    """Sum the sizes of the owned files: hard links to one file count once, hard links to a user's file not at all."""
    users = {(file.device, file.inode) for file in inventory.files.values() if file.path not in ownership.owned}
    sizes = {
        (inventory.files[path].device, inventory.files[path].inode): placement.size
        for path, placement in ownership.owned.items()
    }
    return sum(size for inode, size in sizes.items() if inode not in users)
