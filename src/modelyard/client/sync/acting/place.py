"""The only code that gives a file its name in a models folder, or takes it away.

    fetched, linked or copied           whole, hashed and synced in the work folder
    journal.intend                      from here on the file is known by path, hash and inode
    rename                              never over a name that is taken, see ``swapping`` for what is replaced
    both folders synced
    journal.confirm

A kill at any point leaves no file, or one that is whole and that the journal knows.
"""

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from modelyard.client.sync.acting.contents import hash_of, identity_of, stamp, unchanged_hash_of
from modelyard.client.sync.acting.folders import Folder, open_folder, open_place
from modelyard.client.sync.acting.moving import CannotExchange, move
from modelyard.client.sync.acting.staging import Staged
from modelyard.client.sync.acting.swapping import exchange_ours, swap_in
from modelyard.client.sync.acting.trash import Away, Ours, put_away, put_back, set_aside, still_ours
from modelyard.client.sync.acting.troubles import NotPlaced
from modelyard.client.sync.holding.holdings import Machine
from modelyard.client.sync.holding.journal import Entry, Origin
from modelyard.client.sync.holding.state import StateFailed
from modelyard.client.sync.planning.actions import Target
from modelyard.client.sync.wanted import Wanted
from modelyard.client.sync.wording import quoted
from modelyard.transfer import disk


@dataclass(frozen=True)
class Placer:
    """Places and removes for one agent. Blocking.

    Raises:
        NotPlaced: nothing was changed, see there; from every method.
        OSError: a disk failed; the file has its name and is whole, or has none.
        Stopped: ``stopped`` was set, and nothing was changed.
    """

    machine: Machine
    stopped: threading.Event

    def place(self, staged: Staged, wanted: Wanted, target: Target) -> Origin:
        """Give a staged file its name, where nothing is. "found": somebody else brought the same bytes meanwhile.

        Only who places a file removes it, so a found one stays as long as the other wants.
        """
        with open_place(target, make=True) as folder:
            try:
                self._give_name(staged, wanted, target, folder)
            except FileExistsError:
                self._find(wanted, target, folder)
                return "found"
        return "placed"

    def replace(self, staged: Staged, wanted: Wanted, target: Target, old: Entry, work: Folder) -> Origin:
        """Put a staged file in the place of one that this agent placed; the old one goes to the trash.

        Where files cannot be exchanged, the name is missing for a moment: a rename over it would destroy what a user
        put there last.
        """
        away, aside = None, self._near_name(target.path.name)
        with (
            open_place(target, make=False) as folder,
            suppress(FileNotFoundError),
            still_ours(folder, target.path, self._away(old)) as ours,
        ):
            try:
                self._swap(staged, wanted, target, ours, work)
            except CannotExchange:
                away = set_aside(ours, work, aside)
            else:
                return "placed"
        try:
            return self.place(staged, wanted, target)
        except BaseException:
            if away is not None:
                with open_place(target, make=False) as folder:
                    put_back(work, away, folder, target.path.name)
            raise

    def remove(self, work: Folder, target: Target, entry: Entry) -> None:
        """Take away a file that this agent placed and that still has the entry's bytes."""
        try:
            with open_place(target, make=False) as folder:
                put_away(folder, target.path, work, self._away(entry))
        except FileNotFoundError:
            pass  # somebody was faster
        self.machine.journal.forget([entry])

    def clear_litter(self, entries: Iterable[Entry]) -> None:
        """Delete what a kill left beside the names of these: half a copy, or a file on its way to nowhere."""
        for path in {entry.path for entry in entries}:
            with suppress(NotPlaced, OSError), open_folder(path.parent) as folder:
                folder.remove(self._near_name(path.name))

    def _give_name(self, staged: Staged, wanted: Wanted, target: Target, folder: Folder) -> None:
        name = target.path.name
        self._intend(wanted, target, staged.descriptor)
        try:
            move(staged.folder, staged.name, folder, name)
        except OSError as failure:
            if failure.errno != errno.EXDEV:
                raise
        else:
            return self._confirm(wanted, target, staged.descriptor)
        with self._copied(staged, wanted, folder, name) as near:
            self._intend(wanted, target, near)
            move(folder, self._near_name(name), folder, name)
            self._confirm(wanted, target, near)
        staged.folder.remove(staged.name)
        return None

    def _swap(self, staged: Staged, wanted: Wanted, target: Target, ours: Ours, work: Folder) -> None:
        self._intend(wanted, target, staged.descriptor)
        try:
            swap_in(staged, ours, work, f"{wanted.sha256}.{self.machine.agent_id}.{uuid4().hex}.part")
            self._confirm(wanted, target, staged.descriptor)
        except NotPlaced:
            self.machine.journal.forget([_entry(wanted, target, None)])
            raise
        except OSError as failure:
            if failure.errno != errno.EXDEV:
                raise
            self._swap_copy(staged, wanted, target, ours)

    def _swap_copy(self, staged: Staged, wanted: Wanted, target: Target, ours: Ours) -> None:
        """The same where the work folder is too far; the old file is gone for good, since the trash is as far."""
        name = target.path.name
        with self._copied(staged, wanted, ours.folder, name) as near:
            self._intend(wanted, target, near)
            exchange_ours(ours.folder, self._near_name(name), ours)
            # Before the row is done: a kill after that would leave the old bytes where nobody looks for them.
            ours.folder.remove(self._near_name(name))
            self._confirm(wanted, target, near)
        staged.folder.remove(staged.name)

    def _intend(self, wanted: Wanted, target: Target, descriptor: int) -> None:
        self.machine.journal.intend(replace(_entry(wanted, target, descriptor), is_done=False))

    def _confirm(self, wanted: Wanted, target: Target, descriptor: int) -> None:
        self.machine.journal.confirm(_entry(wanted, target, descriptor))
        with suppress(StateFailed):  # it would only have saved a hash
            self.machine.index.note(target.path, identity_of(descriptor), wanted.sha256)

    def _find(self, wanted: Wanted, target: Target, folder: Folder) -> None:
        """Note what has the name as the user's, or somebody else's, if it is what is wanted."""
        try:
            with folder.reading(target.path.name) as descriptor:
                found = unchanged_hash_of(target.path, descriptor, self.stopped)
                entry = replace(_entry(wanted, target, descriptor), origin="found")
        except OSError as failure:
            self.machine.journal.forget([_entry(wanted, target, None)])
            raise NotPlaced("conflict", f"{quoted(target.path)} is in the way: {failure.strerror}.") from failure
        if found != wanted.sha256:
            self.machine.journal.forget([entry])
            raise NotPlaced("conflict", _other(target.path, wanted.sha256, found))
        self.machine.journal.confirm(entry)

    @contextmanager
    def _copied(self, staged: Staged, wanted: Wanted, folder: Folder, name: str) -> Iterator[int]:
        """A copy beside the name: the work folder is on another file system, where a rename does not reach."""
        near = folder.path / self._near_name(name)
        descriptor = disk.locked_alone(near, folder.descriptor)
        if descriptor is None:
            raise NotPlaced("wanted", f"Another process is placing {quoted(folder.path / name)}.")
        try:
            os.ftruncate(descriptor, 0)
            if hash_of(staged.descriptor, self.stopped, copy=descriptor) != wanted.sha256:
                raise NotPlaced("failed", f"The disk of {quoted(staged.folder.path)} gave back other bytes.")
            stamp(descriptor, wanted)
            yield descriptor
        finally:
            folder.remove(near.name)
            os.close(descriptor)

    def _away(self, entry: Entry) -> Away:
        return Away(entry.sha256, self._near_name(entry.path.name), self.stopped)

    def _near_name(self, name: str) -> str:
        return f".{name}.{self.machine.agent_id}.part"


def _entry(wanted: Wanted, target: Target, descriptor: int | None) -> Entry:
    status = None if descriptor is None else os.fstat(descriptor)
    device, inode = (status.st_dev, status.st_ino) if status else (0, 0)
    return Entry(target.path, wanted.sha256, wanted.size, wanted.id, "placed", device=device, inode=inode)


def _other(path: Path, expected: str, found: str) -> str:
    return (
        f"{quoted(path)} is another file: it has sha256:{found}, the model has sha256:{expected}."
        " Move it away or rename it."
    )
