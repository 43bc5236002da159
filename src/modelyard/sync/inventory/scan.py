"""Scan the roots of a machine and hash each file that could be a desired model or occupies a desired path."""

import os
import re
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelyard.comfyui.layout import Install, Root
from modelyard.comfyui.quoting import quoted
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.deadlines import FilesystemNotResponding, StallDeadline
from modelyard.sync.inventory.filesystem import FilesystemSpace, detect_reflinks, get_filesystem_space, inspect_root
from modelyard.sync.inventory.folder_lists import list_folder_paths
from modelyard.sync.inventory.folder_mtimes import FolderMtimes
from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.listing import FolderEntry, RootListing
from modelyard.sync.inventory.model_times import has_placed_time
from modelyard.sync.inventory.placement_journal import Placement, PlacementJournal
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.inventory.safe_open import FileUnreadable, hash_file
from modelyard.transfer.portable.files import get_allocated_bytes
from modelyard.wire.folders.manifest import FolderFile

TRASH_FOLDER = "trash"

_trash_name = re.compile(r"([0-9a-f]{64})\.[^/]+")


@dataclass(frozen=True)
class Inventory:
    """What is on this machine's disks. Paths are absolute and contain no link up to the root."""

    installs: tuple[tuple[RootOnDisk, ...], ...] = ()  # the roots of each, in its order
    files: Mapping[Path, FolderEntry] = field(default_factory=dict)  # by the path at which it was found
    placements: tuple[Placement, ...] = ()
    spaces: Mapping[int, FilesystemSpace] = field(default_factory=dict)  # by device
    trash_files: Mapping[tuple[int, str], Path] = field(default_factory=dict)  # by device and hash
    partial_downloads: Mapping[tuple[int, str], int] = field(
        default_factory=dict
    )  # bytes on disk of unfinished downloads
    recent_removals: frozenset[Path] = (
        frozenset()
    )  # within the last hour, see ``PlacementJournal.list_recent_removals``
    partial_copies: Mapping[tuple[int, str], int] = field(default_factory=dict)  # bytes on disk of unfinished copies


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


@dataclass(frozen=True)
class ScanOptions:
    """Progress callback, stop signal and stall deadline of a scan.

    ``on_hash_progress(path, done_bytes, size)`` is called while a file is read; setting ``stopped`` ends the scan.
    """

    on_hash_progress: Callable[[Path, int, int], None] | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    deadline: StallDeadline = field(default_factory=StallDeadline)


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
        self._hashes: dict[tuple[int, int], str] = {}

    def add_roots(self, install: Install) -> Install:
        """Return the install with the folders of types that its ComfyUI does not know.

        Those of desired models, and those of files that were placed for models that are no longer desired.
        """
        return install.with_types(self._desired).with_folders_of(map(Path, self._placed))

    def run(self, installs: list[Install]) -> Inventory:
        """Scan the roots of these installs and return the inventory; call it once."""
        seen = tuple(tuple(self._scan_root(root, install) for root in install.roots) for install in installs)
        absent: dict[Path, int | None] = {root.path: None for roots in seen for root in roots if not root.inode}
        mtimes = {
            folder: mtime for listing in self._listings.values() for folder, mtime in listing.folder_mtimes.items()
        }
        self._machine.folder_mtimes.record(absent | mtimes)
        for roots in seen:
            self._find_desired(roots)
        self._find_placements()
        sizes = {model.size for model in self._desired}
        placed = {(placement.path, placement.size) for placement in self._placements}
        for path, file in self._files.items():
            is_possible = file.kind == "file" and (file.size in sizes or (path, file.size) in placed)
            if is_possible or path in self._occupying:
                self._files[path] = self._with_hash(file)
        self._compare_folders()
        self._machine.index.prune({file.path for file in self._files.values()}, list(self._listings))
        self._machine.index.flush()
        seen = tuple(tuple(self._mark_if_unmounted(root) for root in roots) for roots in seen)
        return self._build_inventory(seen)

    def _scan_root(self, root: Root, install: Install) -> RootOnDisk:
        """Return the root, and list its files in ``self``; one that cannot be read gets a problem and is not listed."""
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
        """Look up each desired name in each root of its key.

        This finds links, other spellings, and files in place of folders.
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
        """Find files that the journal spells differently from the disk.

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

    def _compare_folders(self) -> None:
        """Compare each folder at the path of a folder model with the files of the desired and of the placed model."""
        lists = self._find_folder_lists()
        for path, possible in lists.items():
            entry = self._files.get(path)
            if entry is None or entry.kind != "folder" or entry.path != path:
                continue
            self._files[path] = compared = self._compare_folder(entry, possible)
            folders = frozenset[str]().union(*map(list_folder_paths, possible.values()))
            if compared.sha256 is None and not self._has_others(path, folders):
                del self._files[path]  # files that were moved away leave empty folders
        for placement in self._placements:
            entry = self._files.get(placement.path)
            if entry is not None and entry.kind == "model_folder" and placement.is_folder:
                files = lists[placement.path].get(placement.sha256, ())
                is_placed = [self._has_placed_time(placement, file) for file in files]
                has_only_placed = (
                    entry.sha256 == placement.sha256
                    and all(is_placed)
                    and not self._has_others(placement.path, list_folder_paths(files), {file.path for file in files})
                )
                self._files[placement.path] = replace(
                    entry,
                    has_placed_file=entry.has_placed_file or any(is_placed),
                    has_only_placed_files=entry.has_only_placed_files or has_only_placed,
                )

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

    def _has_others(self, folder: Path, folders: Collection[str], files: Collection[str] = ()) -> bool:
        """Return whether a listed folder has anything in it but ``folders`` and ``files``, which are paths below it."""
        for root, listing in self._listings.items():
            if folder.is_relative_to(root):
                prefix = f"{folder.relative_to(root).as_posix()}/"
                return any(
                    name.startswith(prefix)
                    and name.removeprefix(prefix) not in (folders if each.kind == "folder" else files)
                    for name, each in listing.entries.items()
                )
        return True

    def _has_placed_time(self, placement: Placement, file: FolderFile) -> bool:
        """Return whether a file of a placed folder is there and has the time that the agent gave it."""
        entry = self._files.get(placement.path / file.path)
        return entry is not None and has_placed_time(file.sha256, entry.mtime_ns)

    def _compare_folder(self, folder: FolderEntry, lists: Mapping[str, tuple[FolderFile, ...]]) -> FolderEntry:
        """Return the folder with the hash of the first list of which it has all files, or with what differs."""
        reason: str | None = None
        for sha256, files in lists.items():
            for file in files:
                path = folder.path / file.path
                entry = self._files.get(path)
                if entry is not None and entry.kind == "file" and entry.size == file.size:
                    entry = self._files[path] = self._with_hash(entry)
                if entry is not None and entry.kind == "unreadable":
                    return replace(folder, kind="unreadable", reason=f"its file {quoted(file.path)}: {entry.reason}")
                if entry is None or entry.sha256 != file.sha256 or entry.kind != "file":
                    what = "is missing" if entry is None else "has other content"
                    reason = reason or f"{quoted(file.path)} {what}"
                    break
            else:
                return replace(folder, kind="model_folder", sha256=sha256)
        return replace(folder, kind="model_folder", reason=reason)

    def _with_hash(self, file: FolderEntry) -> FolderEntry:
        """Return the entry with its hash, from the index or by reading the file; unreadable files get a reason.

        A hash that is not from the index is added to it. Entries other than files and links to files are returned
        unchanged.
        """
        is_linked = file.kind == "link" and file.link is not None
        if file.kind != "file" and not is_linked:
            return file
        sha256 = self._machine.index.get_hash(file.path, file.identity) or self._hashes.get((file.device, file.inode))
        if sha256 is None:
            try:
                sha256 = self._hash_file(file, through_links=is_linked)
            except FileUnreadable as failure:
                return replace(file, kind="unreadable", reason=str(failure))
            except FilesystemNotResponding:
                return replace(file, kind="unreadable", reason="its file system does not respond")
            self._machine.index.add_hash(file.path, file.identity, sha256)
        self._hashes[file.device, file.inode] = sha256
        return replace(file, sha256=sha256)

    def _hash_file(self, file: FolderEntry, *, through_links: bool) -> str:
        """Return the SHA-256 of a file, read within the stall deadline, and report the progress."""
        done = 0

        def hash_file_bytes(on_progress: Callable[[], None]) -> str:
            """Hash the file in the thread of the deadline."""

            def on_chunk(count: int) -> None:
                """Report progress to the deadline and to the caller of the scan."""
                nonlocal done
                done += count
                on_progress()
                if self._options.on_hash_progress is not None:
                    self._options.on_hash_progress(file.path, done, file.size)

            return hash_file(file.path, file.identity, on_chunk, self._options.stopped, through_links=through_links)

        return self._options.deadline.run(file.path, hash_file_bytes)

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

    def _build_inventory(self, installs: tuple[tuple[RootOnDisk, ...], ...]) -> Inventory:
        """Build the inventory of the listed files, with disk space, trash and partial files of each work folder."""
        spaces: dict[int, FilesystemSpace] = {}
        trash_files: dict[tuple[int, str], Path] = {}
        partial_downloads: dict[tuple[int, str], int] = {}
        partial_copies: dict[tuple[int, str], int] = {}
        work_folders: dict[Path, RootOnDisk] = {
            root.work_folder: root for roots in installs for root in roots if root.is_listed
        }
        for work_folder, root in work_folders.items():
            space = spaces.get(root.device) or get_filesystem_space(root.path)
            if space is not None:
                space = replace(
                    space, supports_reflinks=space.supports_reflinks or detect_reflinks(space.folder, root.device)
                )
                listed = list(_list_trash(work_folder))
                trash_files.update(
                    ((root.device, sha256), path) for path, sha256, is_folder, _ in listed if not is_folder
                )
                trash_bytes = _count_reclaimable_bytes(status for *_, files in listed for status in files)
                spaces[root.device] = replace(space, trash_bytes=space.trash_bytes + trash_bytes)
                for sha256, size, is_copy in self._list_partial_files(work_folder):
                    (partial_copies if is_copy else partial_downloads)[root.device, sha256] = size
        recent_removals = self._machine.journal.list_recent_removals()
        return Inventory(
            installs,
            self._files,
            self._placements,
            spaces,
            trash_files,
            partial_downloads,
            recent_removals,
            partial_copies,
        )

    def _list_partial_files(self, work: Path) -> Iterator[tuple[str, int, bool]]:
        """Yield hash, bytes on disk, and whether it is a copy, of each partial file of this agent.

        A download always has one name, each copy a new one.
        """
        own = re.compile(rf"([0-9a-f]{{64}})\.{re.escape(self._machine.agent_id)}(\.[0-9a-f]+)?\.part")
        for name, status in _list_files(work):
            if (match := own.fullmatch(name)) is not None:
                # A partial file may have its full length from the start; only allocated blocks count.
                yield match[1], min(get_allocated_bytes(status), status.st_size), match[2] is not None
        for folder in work.glob(f"*.{self._machine.agent_id}.folder"):
            sha256 = folder.name.partition(".")[0]
            if folder.name == f"{sha256}.{self._machine.agent_id}.folder":
                yield sha256, sum(status.st_size for status in _list_tree_files(folder)), False


def _group_by_folder(placements: Iterable[Placement]) -> dict[str, list[Placement]]:
    """Return placements by the folder of their file, spelled with a trailing separator."""
    by_folder: dict[str, list[Placement]] = {}
    for placement in placements:
        path = str(placement.path)
        by_folder.setdefault(path[: path.rfind(os.sep) + 1], []).append(placement)
    return by_folder


def _list_trash(work: Path) -> Iterator[tuple[Path, str, bool, list[os.stat_result]]]:
    """Yield path and hash of each file and folder in the trash, whether it is a folder, and the status of its files."""
    trash = work / TRASH_FOLDER
    for name, status in _list_entries(trash):
        if (match := _trash_name.fullmatch(name)) is None:
            continue
        if stat.S_ISDIR(status.st_mode):
            yield trash / name, match.group(1), True, list(_list_tree_files(trash / name))
        elif stat.S_ISREG(status.st_mode):
            yield trash / name, match.group(1), False, [status]


def _count_reclaimable_bytes(files: Iterable[os.stat_result]) -> int:
    """Return how many bytes of disk space become free when these files are deleted: all names of a file are in them."""
    by_inode: dict[tuple[int, int], list[os.stat_result]] = {}
    for status in files:
        by_inode.setdefault((status.st_dev, status.st_ino), []).append(status)
    return sum(
        min(get_allocated_bytes(names[0]), names[0].st_size)
        for names in by_inode.values()
        if names[0].st_nlink <= len(names)
    )


def _list_tree_files(folder: Path) -> Iterator[os.stat_result]:
    """Yield the status of each file below a folder; unreadable ones are skipped."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                status = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - joined for each file of a folder
                if stat.S_ISREG(status.st_mode):
                    yield status


def _list_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files of one folder by name, skipping unreadable ones."""
    return (entry for entry in _list_entries(folder) if stat.S_ISREG(entry[1].st_mode))


def _list_entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything in one folder by name, skipping what is unreadable.

    Other processes may be changing the folder.
    """
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 names are what is asked for
            with suppress(OSError):
                yield name, (folder / name).lstat()
