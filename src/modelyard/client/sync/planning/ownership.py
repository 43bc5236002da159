"""Which files are the agent's own: those that its journal *and* their bytes say it placed."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelyard.client.sync.holding.holdings import Holdings
from modelyard.client.sync.holding.journal import Entry
from modelyard.client.sync.holding.listing import Held
from modelyard.client.sync.holding.roots import RootOnDisk
from modelyard.client.sync.planning.actions import Target


@dataclass
class Ownership:
    """The journal held against the disk. Rows of folders that cannot be looked at say nothing and stay."""

    own: dict[Path, Entry] = field(default_factory=dict)  # placed, and the bytes are still those
    found: dict[Path, Entry] = field(default_factory=dict)  # the user's, noted before
    changed: dict[Path, Entry] = field(default_factory=dict)  # placed or found, and now other bytes
    confirm: dict[Path, Entry] = field(default_factory=dict)  # placements that a kill left open, settled
    forget: list[Entry] = field(default_factory=list)
    away: dict[Path, Entry] = field(default_factory=dict)  # cannot be looked at now


class Places:
    """The roots that are known, asked for by what lies in them: each folder is looked up once."""

    def __init__(self, installs: Iterable[tuple[RootOnDisk, ...]]) -> None:
        self._roots: dict[str, RootOnDisk] = {}
        for root in (root for roots in installs for root in roots if root.is_listed):
            self._roots.setdefault(str(root.path), root)
        self._of_folder: dict[str, RootOnDisk | None] = {}

    def target_at(self, path: Path) -> Target | None:
        """The place of a path in the innermost root that is known; None if it is in none."""
        folder, _, name = str(path).rpartition("/")
        if folder not in self._of_folder:
            self._of_folder[folder] = self._innermost(folder)
        root = self._of_folder[folder]
        return None if root is None else Target(root, f"{folder}/{name}"[len(str(root.path)) + 1 :])

    def _innermost(self, folder: str) -> RootOnDisk | None:
        while folder and folder not in self._roots:
            folder = folder.rpartition("/")[0]
        return self._roots.get(folder)


def read_ownership(held: Holdings, places: Places) -> Ownership:
    """Judge each row by what is at its path."""
    ownership = Ownership()
    # By the text of the path: paths themselves take ten times as long to compare.
    for entry in sorted(held.entries, key=lambda entry: (str(entry.path), entry.is_done, entry.sha256)):
        if places.target_at(entry.path) is None:
            ownership.away[entry.path] = entry
        else:
            _judge(entry, held.files.get(entry.path), ownership)
    for path in ownership.changed.keys() & (ownership.own.keys() | ownership.found.keys()):
        ownership.forget.append(ownership.changed.pop(path))
    return ownership


def _judge(entry: Entry, file: Held | None, ownership: Ownership) -> None:
    if file is None:
        ownership.forget.append(entry)
    elif file.kind == "unreadable":
        ownership.away[entry.path] = entry
    elif file.is_plain and file.path != entry.path:
        _judge_as_spelled(entry, file, ownership)
    elif entry.origin == "found" and file.sha256 == entry.sha256:
        ownership.found[entry.path] = entry
    elif not (file.is_plain and file.path == entry.path and file.sha256 == entry.sha256):
        _changed(entry, ownership)
    elif entry.is_done or entry.inode == file.inode & (2**63 - 1):
        ownership.own[entry.path] = entry
        if not entry.is_done:
            ownership.confirm[entry.path] = replace(entry, is_done=True)
    else:
        # The same bytes, but not the file that was about to be renamed: somebody else brought them meanwhile.
        ownership.found[entry.path] = ownership.confirm[entry.path] = replace(entry, origin="found", is_done=True)


def _judge_as_spelled(entry: Entry, file: Held, ownership: Ownership) -> None:
    """The file system takes the row's name for that of this file, which has its folder's case, or its own."""
    spelled = replace(entry, path=file.path)
    _judge(spelled, file, ownership)
    ownership.forget.append(entry)
    if spelled in (ownership.own.get(file.path), ownership.found.get(file.path)):
        ownership.confirm.setdefault(file.path, spelled)


def _changed(entry: Entry, ownership: Ownership) -> None:
    """One row is enough to tell that the agent had a file there; a placement that was not finished tells nothing."""
    if not entry.is_done:
        ownership.forget.append(entry)
        return
    if (earlier := ownership.changed.get(entry.path)) is not None:
        ownership.forget.append(earlier)
    ownership.changed[entry.path] = entry


def own_bytes(ownership: Ownership, held: Holdings) -> int:
    """Bytes on the disks that are there because of the agent: names of one file count once, links to a user's never."""
    users = {(file.device, file.inode) for file in held.files.values() if file.path not in ownership.own}
    sizes = {(held.files[path].device, held.files[path].inode): entry.size for path, entry in ownership.own.items()}
    return sum(size for inode, size in sizes.items() if inode not in users)
