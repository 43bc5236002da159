"""List all files, folders and links below one root, without following links."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from modelyard.sync.inventory.deadlines import FilesystemNotResponding, StallDeadline
from modelyard.sync.inventory.folder_mtimes import get_folder_mtime
from modelyard.sync.inventory.roots import WORK_FOLDER
from modelyard.transfer.portable.files import get_entry_status, is_link
from modelyard.transfer.source_file import FileIdentity
from modelyard.wire.paths import build_path_key

# "link" leads to a file, "dangling" to nothing; "other": a pipe, a socket, a device, or a link to a folder.
# "parent_is_file": a file is where the name needs a folder. "model_folder": a folder at the path of a folder model;
# its ``sha256`` is that of a model of which it has all files, and else None with the reason.
EntryKind = Literal["file", "link", "dangling", "folder", "model_folder", "other", "parent_is_file", "unreadable"]
# ComfyUI skips ``.git``; the work folder is ours.
_SKIPPED_FOLDERS = frozenset({".git", WORK_FOLDER})


@dataclass(frozen=True)
class FolderEntry:
    """Something that has a name in a root: a file, a folder, a link, or an obstacle."""

    path: Path  # absolute; spelled as on the disk, which may differ from the requested name
    kind: EntryKind
    size: int = 0
    device: int = 0
    inode: int = 0
    mtime_ns: int = 0
    sha256: str | None = None  # None: not hashed, or not readable
    link: Path | None = None  # the first link in the path below the root, itself included
    reason: str | None = None  # why it is unreadable or has no hash, as the end of a sentence
    has_placed_file: bool = False  # of a "model_folder": a file in it has the time that the agent gave it
    # Of a "model_folder": it has exactly the files of the list with ``sha256``, all with the times that the agent gave.
    has_only_placed_files: bool = False

    @property
    def identity(self) -> FileIdentity:
        """Return the size, modification time and inode, which change when the content does."""
        return FileIdentity(self.size, self.mtime_ns, self.inode)

    @property
    def is_regular_file(self) -> bool:
        """Return whether it is a file without a link in its path below the root.

        Only such a file can be the agent's own.
        """
        return self.kind == "file" and self.link is None


class RootListing:
    """All names below a root with what they are. Blocking; ``on_progress`` is called for each entry.

    Links are not followed. Left out are ``.*.part`` and what is in ``.git`` and the work folder. ``entries`` are by
    name below the root.

    Raises:
        OSError: the root itself cannot be listed. An unreadable folder below it becomes an "unreadable" entry.
    """

    def __init__(self, root: Path, on_progress: Callable[[], None]) -> None:
        self.root = root
        self.entries: dict[str, FolderEntry] = {}
        self.folder_mtimes: dict[Path, int | None] = {}  # taken before each folder was listed
        self._names_by_key: dict[str, str] | None = None
        folders = [""]
        while folders:
            folder = folders.pop()
            self.folder_mtimes[root / folder] = get_folder_mtime(root / folder)
            try:
                for name, entry in _scan_folder(root, folder):
                    on_progress()
                    self.entries[name] = entry
                    if entry.kind == "folder" and entry.path.name not in _SKIPPED_FOLDERS:
                        folders.append(name)
            except OSError as failure:
                if not folder:
                    raise
                self.entries[folder] = FolderEntry(
                    root / folder, "unreadable", reason=f"it cannot be read ({failure.strerror})"
                )

    def find_entry(self, name: str, deadline: StallDeadline) -> FolderEntry | None:
        """Return the entry that opening ``name`` would reach, through links too; None if there is none.

        An obstacle in its path is returned instead, of kind ``parent_is_file``, ``unreadable``, ``dangling`` or
        ``other``. Reads the disk, within the deadline, only for links and other spellings.
        """
        if (entry := self.entries.get(name)) is not None:
            return _follow_link(entry, entry.path, deadline) if entry.kind == "link" else entry
        end = name.rfind("/")
        while end > 0:
            parent = self.entries.get(name[:end])
            if parent is not None:
                if parent.kind == "folder":
                    break
                if parent.kind == "link":
                    return _follow_link(parent, self.root / name, deadline)
                return parent if parent.kind == "unreadable" else replace(parent, kind="parent_is_file")
            end = name.rfind("/", 0, end)
        return self._find_other_spelling(name, deadline)

    def _find_other_spelling(self, name: str, deadline: StallDeadline) -> FolderEntry | None:
        """Return the entry that a case-insensitive file system treats as the same name, or None."""
        if self._names_by_key is None:
            self._names_by_key = {build_path_key("", entry_name): entry_name for entry_name in self.entries}
        entry_name = self._names_by_key.get(build_path_key("", name))
        if entry_name is None:
            return None
        try:
            is_same = os.path.samestat((self.root / name).lstat(), (self.root / entry_name).lstat())
        except OSError:
            return None
        return self.find_entry(entry_name, deadline) if is_same else None


def _scan_folder(root: Path, folder: str) -> Iterator[tuple[str, FolderEntry]]:
    """Yield the entries of one folder with their names below the root; temporary files of agents are skipped."""
    with os.scandir(root / folder) as dir_entries:
        for dir_entry in dir_entries:
            if dir_entry.name.startswith(".") and dir_entry.name.endswith(".part"):
                continue  # a temporary file of an agent; no model may have such a name
            name = f"{folder}/{dir_entry.name}" if folder else dir_entry.name
            try:
                yield name, _build_entry(root / name, get_entry_status(dir_entry))
            except FileNotFoundError:
                continue
            except OSError as failure:
                yield name, FolderEntry(root / name, "unreadable", reason=f"it cannot be read ({failure.strerror})")


def _build_entry(path: Path, status: os.stat_result, link: Path | None = None) -> FolderEntry:
    """Build the entry for a status; ``link`` is the first link in its path."""
    kind: EntryKind = "other"
    if stat.S_ISREG(status.st_mode):
        kind = "file" if link is None else "link"
    elif is_link(status):
        kind, link = "link", path
    elif stat.S_ISDIR(status.st_mode) and link is None:
        kind = "folder"
    return FolderEntry(path, kind, status.st_size, status.st_dev, status.st_ino, status.st_mtime_ns, link=link)


def _follow_link(link: FolderEntry, path: Path, deadline: StallDeadline) -> FolderEntry:
    """Return what a path that contains a link leads to; a link to a folder without that name is returned itself."""
    try:
        return deadline.run(link.path, lambda _: _get_link_target(link, path))
    except FilesystemNotResponding:
        return FolderEntry(path, "unreadable", link=link.path, reason="its file system does not respond")


def _get_link_target(link: FolderEntry, path: Path) -> FolderEntry:
    """Return the entry that ``path`` leads to through the link; the link itself if it is broken or of a folder."""
    try:
        return _build_entry(path, path.stat(), link.path)
    except (FileNotFoundError, NotADirectoryError):
        is_folder = path != link.path and link.path.is_dir()
        return FolderEntry(link.path, "other" if is_folder else "dangling", link=link.path)
    except OSError as failure:
        return FolderEntry(path, "unreadable", link=link.path, reason=f"it cannot be read ({failure.strerror})")
