"""What a machine holds: the files in its roots, with the hash of each that could be a wanted one or is in its way."""

import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelyard.client.sync.holding.ground import Space, look_at, space_at
from modelyard.client.sync.holding.index import Index
from modelyard.client.sync.holding.journal import Entry, Journal
from modelyard.client.sync.holding.listing import Held, Listing
from modelyard.client.sync.holding.patience import NotAnswering, Patience
from modelyard.client.sync.holding.reading import Unreadable, digest_of
from modelyard.client.sync.holding.roots import Install, Root, RootOnDisk
from modelyard.client.sync.wanted import Wanted
from modelyard.client.sync.wording import quoted

TRASH_FOLDER = "trash"

_trashed = re.compile(r"([0-9a-f]{64})\.[^/]+")


@dataclass(frozen=True)
class Holdings:
    """What is on this machine's disks. Paths are absolute and lead through no link up to the root."""

    installs: tuple[tuple[RootOnDisk, ...], ...] = ()  # the roots of each, in its order
    files: Mapping[Path, Held] = field(default_factory=dict)  # by the path under which it is found
    entries: tuple[Entry, ...] = ()
    spaces: Mapping[int, Space] = field(default_factory=dict)  # by device
    trash: Mapping[tuple[int, str], Path] = field(default_factory=dict)  # by device and hash
    partial: Mapping[tuple[int, str], int] = field(default_factory=dict)  # bytes that an unfinished fetch has already
    removed: frozenset[Path] = frozenset()  # within the last hour, see ``Journal.removed_lately``


@dataclass(frozen=True)
class Machine:
    """Who looks: an agent, with what it remembers."""

    agent_id: str
    index: Index
    journal: Journal


@dataclass(frozen=True)
class Watch:
    """How a scan is watched: ``hashed(path, done, size)`` hears of long reads, ``stopped`` ends them."""

    hashed: Callable[[Path, int, int], None] | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    patience: Patience = field(default_factory=Patience)


def scan(
    installs: Iterable[Install], wanted: Iterable[Wanted], machine: Machine, watch: Watch | None = None
) -> Holdings:
    """Look at all roots; blocking. Writes nothing but the index; a file that is in nobody's way and has the size of
    no wanted model is never opened.

    Raises:
        Stopped: ``watch.stopped`` was set.
        StateFailed: see ``StateFile``.
    """
    wanted = tuple(wanted)
    return _Scan(wanted, machine, watch or Watch()).run([install.with_types(wanted) for install in installs])


class _Scan:
    def __init__(self, wanted: tuple[Wanted, ...], machine: Machine, watch: Watch) -> None:
        self._wanted = wanted
        self._machine = machine
        self._watch = watch
        self._entries = tuple(machine.journal.entries())
        self._placed = _by_folder(entry for entry in self._entries if entry.origin == "placed")
        self._listings: dict[Path, Listing] = {}
        self._files: dict[Path, Held] = {}
        self._in_the_way: set[Path] = set()
        self._hashes: dict[tuple[int, int], str] = {}

    def run(self, installs: list[Install]) -> Holdings:
        seen = tuple(tuple(self._root(root, install) for root in install.roots) for install in installs)
        for roots in seen:
            self._find_wanted(roots)
        self._find_noted()
        sizes = {model.size for model in self._wanted}
        own = {(entry.path, entry.size) for entry in self._entries}
        for path, held in self._files.items():
            is_possible = held.kind == "file" and (held.size in sizes or (path, held.size) in own)
            if is_possible or path in self._in_the_way:
                self._files[path] = self._hashed(held)
        self._machine.index.keep_only({held.path for held in self._files.values()}, list(self._listings))
        self._machine.index.flush()
        seen = tuple(tuple(self._unless_emptied(root) for root in roots) for roots in seen)
        return self._holdings(seen)

    def _root(self, root: Root, install: Install) -> RootOnDisk:
        """The root and its listing; a root that cannot be looked at says so, and all the others are looked at."""
        patience = self._watch.patience
        try:
            ground = patience.run(root.path, lambda _: look_at(root, install))
            if ground.is_listed and ground.inode and ground.path not in self._listings:
                listing = patience.run(root.path, lambda moved: Listing(ground.path, moved))
                self._listings[ground.path] = listing
                self._files.update((held.path, held) for held in listing.names.values())
        except NotAnswering:
            reason = f"The file system of {quoted(root.path)} does not answer. Is its server there?"
            return RootOnDisk(root.key, root.path, root.path, root.path, 0, 0, reason, is_listed=False)
        except OSError as failure:
            reason = f"The folder {quoted(root.path)} cannot be read: {failure.strerror}."
            return RootOnDisk(root.key, root.path, root.path, root.path, 0, 0, reason, is_listed=False)
        return ground

    def _find_wanted(self, roots: tuple[RootOnDisk, ...]) -> None:
        """Ask for each wanted name in each root of its key: links, other spellings and files for folders show then."""
        by_key: dict[str, list[RootOnDisk]] = {}
        for root in roots:
            by_key.setdefault(root.key, []).append(root)
        for wanted in self._wanted:
            for root in by_key.get(wanted.model_type, ()):
                listing = self._listings.get(root.path)
                if listing is not None and (held := listing.at(wanted.name, self._watch.patience)) is not None:
                    # What is listed under this very name has its path already, and making one takes long.
                    is_listed = listing.names.get(wanted.name) is held
                    path = held.path if is_listed else root.path / wanted.name
                    self._files[path] = held
                    self._in_the_way.add(path)

    def _find_noted(self) -> None:
        """Files that the journal spells otherwise than the disk does, where both are one name."""
        for entry in self._entries:
            if entry.path in self._files:
                continue
            for root, listing in self._listings.items():
                if entry.path.is_relative_to(root):
                    held = listing.at(str(entry.path.relative_to(root)), self._watch.patience)
                    if held is not None and held.is_plain:
                        self._files[entry.path] = held

    def _hashed(self, held: Held) -> Held:
        is_linked = held.kind == "link" and held.link is not None
        if held.kind != "file" and not is_linked:
            return held
        known = self._machine.index.known(held.path, held.identity) or self._hashes.get((held.device, held.inode))
        if known is None:
            try:
                known = self._read(held, through_links=is_linked)
            except Unreadable as failure:
                return replace(held, kind="unreadable", reason=str(failure))
            except NotAnswering:
                return replace(held, kind="unreadable", reason="its file system does not answer")
            self._machine.index.note(held.path, held.identity, known)
        self._hashes[held.device, held.inode] = known
        return replace(held, sha256=known)

    def _read(self, held: Held, *, through_links: bool) -> str:
        done = 0

        def work(moved: Callable[[], None]) -> str:
            def piece(count: int) -> None:
                nonlocal done
                done += count
                moved()
                if self._watch.hashed is not None:
                    self._watch.hashed(held.path, done, held.size)

            return digest_of(held.path, held.identity, piece, self._watch.stopped, through_links=through_links)

        return self._watch.patience.run(held.path, work)

    def _unless_emptied(self, root: RootOnDisk) -> RootOnDisk:
        """A disk that is not mounted leaves an empty folder, which is not the place to fetch everything anew."""
        placed = [entry for folder, entries in self._placed.items() if root.holds(folder) for entry in entries]
        if not placed or not root.is_listed or any(entry.path in self._files for entry in placed):
            return root
        if root.work.exists() or any(entry.device in (0, root.device) for entry in placed):
            return root
        reason = (
            f"All {len(placed)} files that were placed in {quoted(root.path)} are away, and it is on another disk than"
            f" before. Mount the right disk; if this is the right one, make the folder {quoted(root.work)}."
        )
        return replace(root, trouble=reason, is_listed=False)

    def _holdings(self, installs: tuple[tuple[RootOnDisk, ...], ...]) -> Holdings:
        spaces: dict[int, Space] = {}
        trash: dict[tuple[int, str], Path] = {}
        partial: dict[tuple[int, str], int] = {}
        works: dict[Path, RootOnDisk] = {root.work: root for roots in installs for root in roots if root.is_listed}
        for work, root in works.items():
            space = spaces.get(root.device) or space_at(root.path)
            if space is not None:
                trashed = list(_trash(work))
                trash.update(((root.device, sha256), path) for path, sha256, _ in trashed)
                spaces[root.device] = replace(space, trash=space.trash + sum(size for *_, size in trashed))
                partial.update(((root.device, sha256), size) for sha256, size in self._partial(work))
        removed = self._machine.journal.removed_lately()
        return Holdings(installs, self._files, self._entries, spaces, trash, partial, removed)

    def _partial(self, work: Path) -> Iterator[tuple[str, int]]:
        ending = f".{self._machine.agent_id}.part"
        for name, status in _files_in(work):
            if name.endswith(ending):
                # A partial file may have its full length from the start; what counts is what lies on the disk.
                yield name.removesuffix(ending), min(status.st_blocks * 512, status.st_size)


def _by_folder(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Entries by the folder that their file is in, which ends with its separator."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        path = str(entry.path)
        found.setdefault(path[: path.rfind("/") + 1], []).append(entry)
    return found


def _trash(work: Path) -> Iterator[tuple[Path, str, int]]:
    for name, status in _files_in(work / TRASH_FOLDER):
        if (named := _trashed.fullmatch(name)) is not None:
            yield work / TRASH_FOLDER / name, named.group(1), status.st_size


def _files_in(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The files of one folder by name, as far as it can be read; others of the machine may be at work in it."""
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 names are what is asked for
            with suppress(OSError):
                status = (folder / name).lstat()
                if stat.S_ISREG(status.st_mode):
                    yield name, status
