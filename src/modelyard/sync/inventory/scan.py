"""Scan the roots of a machine and hash each file that could be a desired model or occupies a desired path."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelyard.comfyui.layout import Install, Root
from modelyard.comfyui.quoting import quoted
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.deadlines import FilesystemNotResponding, StallDeadline
from modelyard.sync.inventory.file_hashes import FileHashes, ScanOptions
from modelyard.sync.inventory.filesystem import inspect_root
from modelyard.sync.inventory.folder_comparison import compare_folders
from modelyard.sync.inventory.folder_mtimes import FolderMtimes
from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.inventory.listing import FolderEntry, RootListing
from modelyard.sync.inventory.placement_journal import Placement, PlacementJournal
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.inventory.work_folders import read_work_folders
from modelyard.wire.folders.manifest import FolderFile


@dataclass(frozen=True)
class MachineState:
    """An agent's id and the state that it keeps between scans.

    ``damage_notice``: what the user should know if its file was damaged and replaced by a new one.
    """

    agent_id: str
    index: HashIndex
    journal: PlacementJournal
    folder_mtimes: FolderMtimes = field(default_factory=FolderMtimes)
    damage_notice: str | None = None

    def for_previews(self) -> "MachineState":
        """Return the state for pictures: the same index, but a journal and folder times of their own."""
        return MachineState(self.agent_id, self.index, self.journal.for_previews())

    def have_folders_changed(self, deadline: StallDeadline) -> bool:
        """Return whether the time of a scanned folder has changed since the last scan; blocking.

        Then a file was added, renamed or removed there. False if the disk does not respond in time.
        """
        try:
            return deadline.run(Path(self.agent_id), lambda _: self.folder_mtimes.has_changed())
        except FilesystemNotResponding:
            return False


def scan_roots(
    installs: Iterable[Install],
    desired: Iterable[DesiredModel],
    machine: MachineState,
    options: ScanOptions | None = None,
) -> Inventory:
    """Scan all roots and return the inventory; blocking.

    Writes to the state file only, and records the folders' modification times. A file is opened only if it occupies a
    desired path, has the size of a desired model, or is in the journal with its size.

    Raises:
        ReadStopped: ``options.stopped`` was set.
        StateFileError: see ``StateFile``.
    """
    scanner = _Scanner(tuple(desired), machine, options or ScanOptions())
    return scanner.run([scanner.add_roots(install) for install in installs])


class _Scanner:
    """One scan of all roots."""

    def __init__(self, desired: tuple[DesiredModel, ...], machine: MachineState, options: ScanOptions) -> None:
        self._desired = desired
        self._machine = machine
        self._options = options
        self._placements = tuple(machine.journal.list_placements())
        self._placed = _group_by_folder(entry for entry in self._placements if entry.origin == "placed")
        self._listings: dict[Path, RootListing] = {}
        self._files: dict[Path, FolderEntry] = {}
        self._occupying: set[Path] = set()
        self._paths_by_key: dict[tuple[str, str], set[Path]] = {}  # found at desired names, by type and name
        self._file_hashes = FileHashes(machine.index, options)

    def add_roots(self, install: Install) -> Install:
        """Return the install with the folders of types that its ComfyUI does not know.

        Those of desired models, and those of files that were placed for models that are no longer desired.
        """
        return install.with_types(self._desired).with_folders_of(map(Path, self._placed))

    def run(self, installs: list[Install]) -> Inventory:
        """Scan the roots of these installs and return the inventory; call it once.

        Files are hashed as far as needed. Writes the hash index, from which files that are gone are deleted, and
        records the folders' modification times.
        """
        seen = tuple(tuple(self._scan_root(root, install) for root in install.roots) for install in installs)
        absent: dict[Path, int | None] = {root.path: None for roots in seen for root in roots if not root.inode}
        mtimes = {
            folder: mtime for listing in self._listings.values() for folder, mtime in listing.folder_mtimes.items()
        }
        self._machine.folder_mtimes.record(absent | mtimes)
        for roots in seen:
            self._find_desired(roots)
        self._find_placements()
        self._hash_files()
        lists = self._find_folder_lists()
        compare_folders(self._files, self._listings, self._file_hashes, lists, self._placements)
        self._machine.index.prune({file.path for file in self._files.values()}, list(self._listings))
        self._machine.index.flush()
        seen = tuple(tuple(self._mark_if_unmounted(root) for root in roots) for roots in seen)
        work = read_work_folders((root for roots in seen for root in roots), self._machine.agent_id)
        return Inventory(
            installs=seen,
            files=self._files,
            placements=self._placements,
            spaces=work.spaces,
            trash_files=work.trash_files,
            partial_downloads=work.partial_downloads,
            recent_removals=self._machine.journal.list_recent_removals(),
            partial_copies=work.partial_copies,
        )

    def _scan_root(self, root: Root, install: Install) -> RootOnDisk:
        """Look at a root and list its files; return it, with a problem and without a list if it cannot be read."""
        deadline = self._options.deadline
        try:
            root_on_disk = deadline.run(root.path, lambda _: inspect_root(root, install))
            if root_on_disk.is_listed and root_on_disk.inode and root_on_disk.path not in self._listings:
                listing = deadline.run(root.path, lambda on_progress: RootListing(root_on_disk.path, on_progress))
                self._listings[root_on_disk.path] = listing
                self._files.update((file.path, file) for file in listing.entries.values())
        except FilesystemNotResponding:
            reason = f"The file system of {quoted(root.path)} does not respond. Check that its server is running."
            return RootOnDisk(root.key, root.path, root.path, root.path, 0, 0, reason, is_listed=False)
        except OSError as failure:
            reason = f"The folder {quoted(root.path)} cannot be read: {failure.strerror}. Check its disk and mode."
            return RootOnDisk(root.key, root.path, root.path, root.path, 0, 0, reason, is_listed=False)
        return root_on_disk

    def _find_desired(self, roots: tuple[RootOnDisk, ...]) -> None:
        """Add to the files what each root has under each desired name of its key.

        This finds links, other spellings, and files in place of folders, which the lists of files do not show.
        """
        by_key: dict[str, list[RootOnDisk]] = {}
        for root in roots:
            by_key.setdefault(root.key, []).append(root)
        for desired in self._desired:
            for root in by_key.get(desired.model_type, ()):
                listing = self._listings.get(root.path)
                if (
                    listing is not None
                    and (file := listing.find_entry(desired.name, self._options.deadline)) is not None
                ):
                    # Reuse the entry's path if the name is spelled like this: creating Path objects is slow.
                    is_listed = listing.entries.get(desired.name) is file
                    path = file.path if is_listed else root.path / desired.name
                    self._paths_by_key.setdefault((desired.model_type, desired.name), set()).add(path)
                    self._files[path] = file
                    self._occupying.add(path)

    def _find_placements(self) -> None:
        """Add to the files those that the journal spells differently from the disk.

        Only where the file system treats both spellings as one name.
        """
        for placement in self._placements:
            if placement.path in self._files:
                continue
            for root, listing in self._listings.items():
                if placement.path.is_relative_to(root):
                    file = listing.find_entry(placement.path.relative_to(root).as_posix(), self._options.deadline)
                    if file is not None and file.is_regular_file:
                        self._files[placement.path] = file

    def _hash_files(self) -> None:
        """Add the hashes of files that could be desired or placed models, and of those that occupy desired paths."""
        sizes = {model.size for model in self._desired}
        placed = {(placement.path, placement.size) for placement in self._placements}
        for path, file in self._files.items():
            is_possible = file.kind == "file" and (file.size in sizes or (path, file.size) in placed)
            if is_possible or path in self._occupying:
                self._files[path] = self._file_hashes.add_hash(file)

    def _find_folder_lists(self) -> dict[Path, dict[str, tuple[FolderFile, ...]]]:
        """Return the lists of files that the folder at each path may have, by hash; first that of the desired model."""
        lists: dict[Path, dict[str, tuple[FolderFile, ...]]] = {}
        for desired in self._desired:
            if desired.is_folder:
                for path in self._paths_by_key.get((desired.model_type, desired.name), ()):
                    lists.setdefault(path, {})[desired.sha256] = desired.files
        for placement in self._placements:
            if placement.is_folder and placement.sha256 not in lists.setdefault(placement.path, {}):
                files = self._machine.journal.folder_lists.find(placement.sha256)
                lists[placement.path] |= {} if files is None else {placement.sha256: files}
        return lists

    def _mark_if_unmounted(self, root: RootOnDisk) -> RootOnDisk:
        """Return the root, with a problem if its disk seems unmounted.

        All placed files are missing, the device differs and there is no work folder: nothing may be downloaded into the
        empty mount point. Call it after all files are known.
        """
        placed = [
            placement
            for folder, placements in self._placed.items()
            if root.contains(folder)
            for placement in placements
        ]
        if not placed or not root.is_listed or any(placement.path in self._files for placement in placed):
            return root
        if root.work_folder.exists() or any(placement.device in (0, root.device) for placement in placed):
            return root
        reason = (
            f"All {len(placed)} files that were placed in {quoted(root.path)} are missing, and it is on another disk"
            " than before. Mount the right disk; if this is the right one, create the folder"
            f" {quoted(root.work_folder)}."
        )
        return replace(root, problem=reason, is_listed=False)


def _group_by_folder(placements: Iterable[Placement]) -> dict[str, list[Placement]]:
    """Return placements by the folder of their file, spelled with a trailing separator."""
    by_folder: dict[str, list[Placement]] = {}
    for placement in placements:
        path = str(placement.path)
        by_folder.setdefault(path[: path.rfind(os.sep) + 1], []).append(placement)
    return by_folder
