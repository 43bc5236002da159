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


def read_ownership(held: Holdings) -> Ownership:
    """Judge each row by what is at its path."""
    ownership = Ownership()
    for entry in sorted(held.entries, key=lambda entry: (entry.path, entry.is_done, entry.sha256)):
        if target_at(entry.path, held) is None:
            ownership.away[entry.path] = entry
        else:
            _judge(entry, held.files.get(entry.path), ownership)
    for path in ownership.changed.keys() & (ownership.own.keys() | ownership.found.keys()):
        ownership.forget.append(ownership.changed.pop(path))
    return ownership


def target_at(path: Path, held: Holdings) -> Target | None:
    """The place of a path in the innermost root that is known; None if it is in none."""
    roots = [root for root in _roots(held.installs) if root.is_listed and root.holds(path)]
    if not roots:
        return None
    root = max(roots, key=lambda root: len(root.path.parts))
    return Target(root, str(path)[len(str(root.path)) + 1 :])


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


def _roots(installs: Iterable[tuple[RootOnDisk, ...]]) -> Iterable[RootOnDisk]:
    for roots in installs:
        yield from roots


def own_bytes(ownership: Ownership, held: Holdings) -> int:
    """Bytes on the disks that are there because of the agent: names of one file count once, links to a user's never."""
    users = {(file.device, file.inode) for file in held.files.values() if file.path not in ownership.own}
    sizes = {(held.files[path].device, held.files[path].inode): entry.size for path, entry in ownership.own.items()}
    return sum(size for inode, size in sizes.items() if inode not in users)
