"""Compare folders on disk with the lists of files of the models whose paths they have."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from modelyard.comfyui.quoting import quoted
from modelyard.sync.inventory.file_hashes import FileHashes
from modelyard.sync.inventory.folder_lists import list_folder_paths
from modelyard.sync.inventory.listing import FolderEntry, RootListing
from modelyard.sync.inventory.model_times import has_placed_time
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.wire.folders.manifest import FolderFile

# The lists of files that the folder at each path may have, by hash; first that of the desired model.
PossibleLists = Mapping[Path, Mapping[str, tuple[FolderFile, ...]]]


def compare_folders(
    files: dict[Path, FolderEntry],
    listings: Mapping[Path, RootListing],
    hashes: FileHashes,
    lists: PossibleLists,
    placements: Iterable[Placement],
) -> None:
    """Replace the entry of each folder at the path of a folder model in ``files`` by what its comparison finds.

    Its files are hashed. A folder that has only empty folders in it is removed from ``files``.
    """
    for path, possible in lists.items():
        entry = files.get(path)
        if entry is None or entry.kind != "folder" or entry.path != path:
            continue
        files[path] = compared = _compare_folder(entry, possible, files, hashes)
        folders = frozenset[str]().union(*map(list_folder_paths, possible.values()))
        if compared.sha256 is None and not _has_others(listings, path, folders):
            del files[path]  # files that were moved away leave empty folders
    for placement in placements:
        entry = files.get(placement.path)
        if entry is not None and entry.kind == "model_folder" and placement.is_folder:
            placed = lists[placement.path].get(placement.sha256, ())
            files[placement.path] = _mark_placed(entry, placement, placed, files, listings)


def _compare_folder(
    folder: FolderEntry,
    lists: Mapping[str, tuple[FolderFile, ...]],
    entries: dict[Path, FolderEntry],
    hashes: FileHashes,
) -> FolderEntry:
    """Compare a folder with the lists; return it with the hash of the first list of which it has all files.

    Otherwise with a reason: a file that is missing or differs, or, as ``unreadable``, one that cannot be read. Files
    are hashed for that, and their entries in ``entries`` replaced.
    """
    reason: str | None = None
    for sha256, files in lists.items():
        for file in files:
            path = folder.path / file.path
            entry = entries.get(path)
            if entry is not None and entry.kind == "file" and entry.size == file.size:
                entry = entries[path] = hashes.add_hash(entry)
            if entry is not None and entry.kind == "unreadable":
                return replace(folder, kind="unreadable", reason=f"its file {quoted(file.path)}: {entry.reason}")
            if entry is None or entry.sha256 != file.sha256 or entry.kind != "file":
                what = "is missing" if entry is None else "has other content"
                reason = reason or f"{quoted(file.path)} {what}"
                break
        else:
            return replace(folder, kind="model_folder", sha256=sha256)
    return replace(folder, kind="model_folder", reason=reason)


def _mark_placed(
    folder: FolderEntry,
    placement: Placement,
    placed: Collection[FolderFile],
    entries: Mapping[Path, FolderEntry],
    listings: Mapping[Path, RootListing],
) -> FolderEntry:
    """Return the folder with whether any, and whether only, files are in it that the agent placed there."""
    is_placed = [_has_placed_time(entries.get(placement.path / file.path), file) for file in placed]
    has_only_placed = (
        folder.sha256 == placement.sha256
        and all(is_placed)
        and not _has_others(listings, placement.path, list_folder_paths(placed), {file.path for file in placed})
    )
    return replace(
        folder,
        has_placed_file=folder.has_placed_file or any(is_placed),
        has_only_placed_files=folder.has_only_placed_files or has_only_placed,
    )


def _has_placed_time(entry: FolderEntry | None, file: FolderFile) -> bool:
    """Return whether a file of a placed folder is there and has the time that the agent gave it."""
    return entry is not None and has_placed_time(file.sha256, entry.mtime_ns)


def _has_others(
    listings: Mapping[Path, RootListing], folder: Path, folders: Collection[str], files: Collection[str] = ()
) -> bool:
    """Return whether a listed folder has anything in it but ``folders`` and ``files``, which are paths below it."""
    for root, listing in listings.items():
        if folder.is_relative_to(root):
            prefix = f"{folder.relative_to(root).as_posix()}/"
            return any(
                name.startswith(prefix)
                and name.removeprefix(prefix) not in (folders if each.kind == "folder" else files)
                for name, each in listing.entries.items()
            )
    return True
