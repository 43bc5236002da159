"""Give folder models their names in models folders, replace them, or remove them, each as one folder.

As in ``placement``: a complete, durable folder in the work folder; an intent in the journal; a rename; a confirmation.
A kill at any point leaves no folder, the old or the new one. Of a folder that is the agent's own by ``ownership``, the
files that the model lists belong to it. Anything else in it is the user's, and then the folder stays.
"""

import errno
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.dir_handles import OpenFolder, open_target_folder
from modelyard.sync.apply.files.file_ops import get_identity, hash_descriptor
from modelyard.sync.apply.files.folder_leftovers import build_temporary_name, put_into_trash
from modelyard.sync.apply.files.folder_trees import (
    FolderTree,
    delete_empty_folders,
    describe_foreign_entry,
    find_changed_file,
    find_foreign_entry,
    walk_tree,
)
from modelyard.sync.apply.files.rename import ExchangeUnsupported, exchange_names, rename_folder_without_replacing
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.model_times import has_placed_time
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.planning.actions import Target
from modelyard.transfer.source_file import FileIdentity


@dataclass(frozen=True)
class StagedFolder:
    """A complete, durable folder in the work folder, and its status.

    ``hashes``: those of its files by path. ``verified``: what the files were when their content was read.
    """

    work: OpenFolder
    name: str
    status: os.stat_result
    hashes: Mapping[str, str]
    verified: dict[str, FileIdentity]

    def check_unchanged(self, stopped: threading.Event) -> None:
        """Check that no file was written after it was verified: a linked one can be through its other name.

        A file with another inode alone is read again: some file systems give other inodes after each mount.

        Raises:
            NotPlaced: one was, or is missing.
            ReadStopped: ``stopped`` was set.
        """
        unchanged: set[str] = set()
        with self.work.open_subfolder(self.name) as folder:
            for parent, path, status in walk_tree(folder):
                if path in self.verified and self._verify_again(parent, path, status, stopped):
                    unchanged.add(path)
        for path in self.verified:
            if path not in unchanged:
                raise NotPlaced(
                    "failed",
                    f"{quoted(path)} was written while the folder was being completed.",
                )

    def _verify_again(self, parent: OpenFolder, path: str, status: os.stat_result, stopped: threading.Event) -> bool:
        """Return whether a file is unchanged; if only its inode differs, it is read, and its identity recorded."""
        found, expected = _get_identity(status), self.verified[path]
        if found == expected:
            return True
        if found._replace(inode=expected.inode) != expected or not stat.S_ISREG(status.st_mode):
            return False
        with parent.open_file(path.rpartition("/")[2]) as descriptor:
            self.verified[path] = get_identity(descriptor)
            return hash_descriptor(descriptor, stopped) == self.hashes[path]


@dataclass(frozen=True)
class _OwnedFolder:
    """A folder that this agent placed: its open parent, its row, its status, and what belongs to it."""

    parent: OpenFolder
    placement: Placement
    status: os.stat_result
    tree: FolderTree

    @property
    def path(self) -> Path:
        return self.placement.path

    def has_placed_file(self) -> bool:
        """Return whether a file in the folder has the time that the agent gave it, see ``planning.ownership``."""
        with self.parent.open_subfolder(self.path.name) as folder:
            return any(
                has_placed_time(file.sha256, status.st_mtime_ns)
                for _, path, status in walk_tree(folder)
                if (file := self.tree.files.get(path)) is not None
            )

    def check(self, parent: OpenFolder, name: str) -> None:
        """Check that a name in a folder is that of this folder, with nothing of a user in it.

        Raises:
            NotPlaced: it is not.
            NotPlaced: it is another folder, or has an entry that is not of the model.
        """
        if not _is_named(parent, name, self.status):
            raise _build_other_folder(self.path)
        with parent.open_subfolder(name) as folder:
            if (foreign := find_foreign_entry(folder, self.tree)) is not None:
                raise NotPlaced("conflict", describe_foreign_entry(self.path, foreign))


@dataclass(frozen=True)
class FolderPlacer:
    """Places, replaces and removes folder models for one agent. Blocking.

    Raises:
        NotPlaced: nothing in a models folder was changed.
        OSError: a disk or the state file failed; the folder has its name and is complete, or has none.
        ReadStopped: ``stopped`` was set, and nothing in a models folder was changed.
    """

    machine: MachineState
    stopped: threading.Event

    def place(self, staged: StagedFolder, desired: DesiredModel, target: Target) -> None:
        """Rename a staged folder to its unused name, with an intent in the journal before and a confirmation after.

        Missing folders above the name are created. A folder of that name that has only the model's empty folders is
        deleted.
        """
        with open_target_folder(target, make=True) as parent:
            staged.check_unchanged(self.stopped)
            row = self._record_intent(staged, desired, target)
            delete_empty_folders(parent, target.path.name, FolderTree.from_files(desired.files))
            try:
                rename_folder_without_replacing(staged.work, staged.name, parent, target.path.name)
            except OSError as failure:
                # After other errors the folder may have its name. Then the next scan finds whether it has.
                if isinstance(failure, FileExistsError) or failure.errno == errno.EXDEV:
                    self.machine.journal.delete_placements([row])
                raise _convert_error(target.path, failure) from failure
            self._confirm(row, staged, desired)

    def replace(self, staged: StagedFolder, desired: DesiredModel, target: Target, old: Placement) -> None:
        """Replace a folder that this agent placed by a staged one; if it is missing, only place the staged one.

        The old folder goes to the trash, with files of the model that were changed in it; one with other files stays.
        The journal has an intent before and a confirmation after. Where names cannot be exchanged, the name is missing
        for a moment.
        """
        try:
            with self._open_owned(target, old) as owned:
                try:
                    self._exchange_owned(staged, desired, target, owned)
                except ExchangeUnsupported:
                    self._move_away_and_place(staged, desired, target, owned)
        except FileNotFoundError:
            self.place(staged, desired, target)

    def remove(self, work: OpenFolder, target: Target, placement: Placement) -> None:
        """Move a folder that this agent placed to the trash, and delete its row.

        A folder with files that are not of its model, or with changed ones, is not moved. Files that are missing in it
        do not matter. If it is gone already, only its row is deleted.

        Raises:
            NotPlaced: the folder is another one, or has other or changed files.
        """
        with suppress(FileNotFoundError), self._open_owned(target, placement) as owned:
            with owned.parent.open_subfolder(target.path.name) as folder:
                changed = find_changed_file(folder, owned.tree, self.stopped)
            if changed is not None:
                raise NotPlaced("conflict", _describe_changed_file(target.path / changed))
            put_into_trash(work, self._move_away(owned, work), placement.sha256)
        self.machine.journal.delete_placements([placement])

    def _exchange_owned(self, staged: StagedFolder, desired: DesiredModel, target: Target, owned: _OwnedFolder) -> None:
        """Exchange the names of a staged folder and the owned one, then move the owned one to the trash.

        Records an intent in the journal before the exchange and confirms it after, with the hashes of the files in the
        index. If the exchange fails and the old folder has its name, the old row is restored. Otherwise the intent
        stays, and the next scan finds which folder has the name.

        Raises:
            NotPlaced: the staged folder or the owned one has changed, or the names could not be exchanged.
            ExchangeUnsupported: the file system cannot exchange names; the old folder and its row are as before.
            OSError, ReadStopped: see ``FolderPlacer``.
        """
        staged.check_unchanged(self.stopped)
        row = self._record_intent(staged, desired, target, owned.placement)
        temporary_name = build_temporary_name(desired.sha256, self.machine.agent_id)
        try:
            _exchange(staged, owned, temporary_name)
        except BaseException as failure:
            if _is_named(owned.parent, owned.path.name, owned.status):
                self._withdraw_intent(row, owned.placement)
            if isinstance(failure, OSError):
                raise _convert_error(target.path, failure) from failure
            raise
        self._confirm(row, staged, desired)
        put_into_trash(staged.work, temporary_name, owned.placement.sha256)

    def _move_away_and_place(
        self, staged: StagedFolder, desired: DesiredModel, target: Target, owned: _OwnedFolder
    ) -> None:
        """Move an owned folder away, place the staged one, and then move the old one to the trash.

        After a failure the old one is moved back and its row confirmed, if that is possible; the failure is raised.
        """
        temporary_name = self._move_away(owned, staged.work)
        try:
            self.place(staged, desired, target)
        except BaseException:
            with suppress(OSError):
                rename_folder_without_replacing(staged.work, temporary_name, owned.parent, target.path.name)
                self.machine.journal.confirm(owned.placement)
            raise
        put_into_trash(staged.work, temporary_name, owned.placement.sha256)

    def _move_away(self, owned: _OwnedFolder, work: OpenFolder) -> str:
        """Move an owned folder to the work folder and return its name there; it is moved back if it has changed.

        Raises:
            NotPlaced: it has changed; or it could not be moved back, and has the temporary name.
        """
        name = build_temporary_name(owned.placement.sha256, self.machine.agent_id)
        try:
            rename_folder_without_replacing(owned.parent, owned.path.name, work, name)
        except OSError as failure:
            raise _convert_error(owned.path, failure) from failure
        try:
            owned.check(work, name)
        except BaseException as failure:
            try:
                rename_folder_without_replacing(work, name, owned.parent, owned.path.name)
            except OSError:
                raise _build_not_moved_back(owned.path, work.path / name, failure) from failure
            raise
        return name

    @contextmanager
    def _open_owned(self, target: Target, placement: Placement) -> Iterator[_OwnedFolder]:
        """Open a folder that this agent placed.

        Raises:
            FileNotFoundError: nothing has the name.
            NotPlaced: it is another folder, or has files in it that are not of its model.
        """
        with open_target_folder(target, make=False) as parent:
            status = parent.get_status(target.path.name)
            if status is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.path))
            files = self.machine.journal.folder_lists.find(placement.sha256)
            if files is None or placement.find_own_inode(status.st_ino) is None:
                raise _build_other_folder(target.path)
            owned = _OwnedFolder(parent, placement, status, FolderTree.from_files(files))
            if not stat.S_ISDIR(status.st_mode) or not owned.has_placed_file():
                raise _build_other_folder(target.path)
            owned.check(parent, target.path.name)
            yield owned

    def _record_intent(
        self, staged: StagedFolder, desired: DesiredModel, target: Target, old: Placement | None = None
    ) -> Placement:
        """Record in the journal that a staged folder is about to get the target's name; return the confirmed row."""
        row = Placement(
            *(target.path, desired.sha256, desired.size, desired.id, "placed"),
            device=staged.status.st_dev,
            inode=staged.status.st_ino,
            is_folder=True,
        )
        replaced_inode = old.inode if old is not None and old.sha256 == row.sha256 else 0
        self.machine.journal.folder_lists.save(desired.sha256, desired.files)
        self.machine.journal.record_intent(replace(row, is_confirmed=False, replaced_inode=replaced_inode))
        return row

    def _confirm(self, row: Placement, staged: StagedFolder, desired: DesiredModel) -> None:
        """Confirm a placement in the journal, and add the hashes of its files to the index, which only saves time.

        A file that was written after it was verified has another identity then, so the next scan reads it.
        """
        self.machine.journal.confirm(row)
        with suppress(OSError):
            for file in desired.files:
                self.machine.index.add_hash(row.path / file.path, staged.verified[file.path], file.sha256)

    def _withdraw_intent(self, row: Placement, old: Placement) -> None:
        """Delete the row of an intent; of a repair, which has the same key, the old row is written again."""
        if old.sha256 == row.sha256:
            self.machine.journal.confirm(old)
        else:
            self.machine.journal.delete_placements([row])


def check_disk(work: OpenFolder, target: Target) -> None:
    """Check, before anything is downloaded, that a folder can be renamed from the work folder to its target.

    Raises:
        NotPlaced: a disk is mounted above the target, below the models folder.
    """
    parent = target.path.parent
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    if parent.stat().st_dev != work.device:
        raise _build_other_disk(target.path)


def _exchange(staged: StagedFolder, owned: _OwnedFolder, temporary_name: str) -> None:
    """Exchange a staged folder with an owned one, which then has the temporary name in the work folder.

    The staged folder is renamed first: no later download may complete the old folder under its name.

    Raises:
        NotPlaced: the owned folder has changed; or the exchange could not be undone.
    """
    work, name = staged.work, owned.path.name
    rename_folder_without_replacing(work, staged.name, work, temporary_name)
    try:
        exchange_names(work, temporary_name, owned.parent, name)
        try:
            owned.check(work, temporary_name)
            owned.parent.sync_to_disk()
            work.sync_to_disk()
        except BaseException as failure:
            try:
                exchange_names(work, temporary_name, owned.parent, name)
            except (OSError, ExchangeUnsupported):
                raise _build_not_moved_back(owned.path, work.path / temporary_name, failure) from failure
            raise
    except BaseException:
        # After an exchange that was not undone, it is the old folder, which may have files of a user.
        if _is_named(work, temporary_name, staged.status):
            rename_folder_without_replacing(work, temporary_name, work, staged.name)
        raise


def _is_named(parent: OpenFolder, name: str, status: os.stat_result) -> bool:
    """Return whether the folder with this status has the name."""
    found = parent.get_status(name)
    return found is not None and os.path.samestat(found, status)


def _get_identity(status: os.stat_result) -> FileIdentity:
    """Return the identity in a file's status."""
    return FileIdentity(status.st_size, status.st_mtime_ns, status.st_ino)


def _convert_error(path: Path, failure: OSError) -> OSError | NotPlaced:
    """Return what to raise for a failed rename: a conflict for a taken name, and a reason for another disk."""
    if isinstance(failure, FileExistsError):
        return NotPlaced(
            "conflict", f"{quoted(path)} was created meanwhile, where the model's folder belongs. Move it away."
        )
    if failure.errno == errno.EXDEV:
        return _build_other_disk(path)
    return failure


def _build_other_disk(path: Path) -> NotPlaced:
    """Build the error for a folder that another disk is mounted above."""
    return NotPlaced(
        "blocked",
        f"{quoted(path.parent)} is on another disk than the folder that it is in. A model of many files is placed"
        " only where both are on one disk: configure that folder as a models folder of its own.",
    )


def _build_other_folder(path: Path) -> NotPlaced:
    """Build the error for a folder that is not, or not any more, the one that the agent placed."""
    return NotPlaced(
        "conflict", f"{quoted(path)} is not the folder that was placed there. It stays; move it away or rename it."
    )


def _describe_changed_file(path: Path) -> str:
    """Describe a file of a placed folder that was changed, because of which the folder is not removed."""
    return (
        f"{quoted(path)} was changed after it was placed, so its folder stays as it is. Move the folder away or rename"
        " it."
    )


def _build_not_moved_back(path: Path, moved: Path, failure: BaseException) -> NotPlaced:
    """Build the error for a folder that could not be moved back, with the failure because of which it should be."""
    reason = f"The folder that was at {quoted(path)} could not be moved back and is now {quoted(moved)}: {failure}"
    return NotPlaced("failed", reason)
