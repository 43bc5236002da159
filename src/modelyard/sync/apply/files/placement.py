"""Give files their names in models folders, or remove them; the only code that does.

    downloaded, linked or copied        complete, hashed and synced in the work folder
    journal.record_intent               from here on the file is known by path, hash and inode
    rename                              never over an existing name; see ``exchange`` for replacements
    both folders synced
    journal.confirm

A kill at any point leaves no file, or a complete one that is in the journal.
"""

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.dir_handles import OpenFolder, open_folder, open_target_folder
from modelyard.sync.apply.files.exchange import exchange_owned_file, exchange_with_staged
from modelyard.sync.apply.files.file_ops import get_identity, hash_descriptor, hash_unchanged_file, set_time_and_sync
from modelyard.sync.apply.files.rename import ExchangeUnsupported, StagedFile, rename_without_replacing
from modelyard.sync.apply.files.trash import (
    ExpectedFile,
    OwnedFile,
    move_owned_file_to_trash,
    move_to_trash,
    open_owned_file,
    restore_from_trash,
)
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.placement_journal import Origin, Placement
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.inventory.state_db import StateFileError
from modelyard.sync.planning.actions import Target
from modelyard.transfer import filesystem


@dataclass(frozen=True)
class Placer:
    """Places, replaces and removes files for one agent. Blocking.

    Raises:
        NotPlaced: no file in a models folder was changed.
        OSError: a disk or the state file failed; the file has its name and is complete, or has none.
        ReadStopped: ``stopped`` was set, and no file in a models folder was changed.
    """

    machine: MachineState
    stopped: threading.Event

    def place(self, staged: StagedFile, desired: DesiredModel, target: Target) -> Origin:
        """Rename a staged file to its unused name; return "found" if another program placed the same content meanwhile.

        Missing folders are created. A file with other content raises ``NotPlaced``. This agent never removes a found
        file: it belongs to the user or program that placed it.
        """
        with open_target_folder(target, make=True) as folder:
            try:
                self._rename_into_place(staged, desired, target, folder)
            except FileExistsError:
                self._adopt_existing(desired, target, folder)
                return "found"
        return "placed"

    def replace(
        self, staged: StagedFile, desired: DesiredModel, target: Target, old: Placement, work: OpenFolder
    ) -> Origin:
        """Replace a file that this agent placed by a staged one; if it is missing, only place the staged one.

        The old file must still have its content. It goes to the trash, or is deleted if the work folder is on another
        file system. Where names cannot be exchanged, the name is missing for a moment: a rename over it could destroy a
        user's new file.
        """
        trash_name, fallback_name = None, self._get_temporary_name(target.path.name)
        with (
            open_target_folder(target, make=False) as folder,
            suppress(FileNotFoundError),
            open_owned_file(folder, target.path, self._build_expected_file(old)) as owned,
        ):
            try:
                self._exchange(staged, desired, target, owned, work)
            except ExchangeUnsupported:
                trash_name = move_owned_file_to_trash(owned, work, fallback_name)
            else:
                return "placed"
        try:
            return self.place(staged, desired, target)
        except BaseException:
            if trash_name is not None:
                with open_target_folder(target, make=False) as folder:
                    restore_from_trash(work, trash_name, folder, target.path.name)
            raise

    def remove(self, work: OpenFolder, target: Target, placement: Placement) -> None:
        """Move a file that this agent placed, and that still has the placement's content, to the trash.

        It is deleted if the trash is on another file system. Afterwards its row is deleted, also if the file was gone
        already.
        """
        try:
            with open_target_folder(target, make=False) as folder:
                move_to_trash(folder, target.path, work, self._build_expected_file(placement))
        except FileNotFoundError:
            pass  # removed by a user or another program
        self.machine.journal.delete_placements([placement])

    def delete_leftovers(self, placements: Iterable[Placement]) -> None:
        """Delete temporary files that a kill left beside the files of these placements; errors are ignored."""
        for path in {placement.path for placement in placements}:
            with suppress(NotPlaced, OSError), open_folder(path.parent) as folder:
                folder.remove_file(self._get_temporary_name(path.name))

    def _rename_into_place(self, staged: StagedFile, desired: DesiredModel, target: Target, folder: OpenFolder) -> None:
        """Rename a staged file to its unused name, by a copy if it is on another file system, and confirm its row.

        Raises:
            FileExistsError: the name is taken.
        """
        name = target.path.name
        self._record_intent(desired, target, staged.descriptor)
        try:
            rename_without_replacing(staged.folder, staged.name, folder, name)
        except OSError as failure:
            if failure.errno != errno.EXDEV:
                raise
        else:
            return self._confirm(desired, target, staged.descriptor)
        with self._copy_beside(staged, desired, folder, name) as copy:
            self._record_intent(desired, target, copy)
            rename_without_replacing(folder, self._get_temporary_name(name), folder, name)
            self._confirm(desired, target, copy)
        staged.folder.remove_file(staged.name)
        return None

    def _exchange(
        self, staged: StagedFile, desired: DesiredModel, target: Target, owned: OwnedFile, work: OpenFolder
    ) -> None:
        """Exchange a staged file with the old one and confirm its row, with an intent in the journal before.

        If the work folder is on another file system, a copy is exchanged, see ``_exchange_copy``. The old file goes to
        the trash.

        Raises:
            ExchangeUnsupported: the file system cannot exchange names.
            NotPlaced: see ``exchange_with_staged``; the intent is deleted.
        """
        self._record_intent(desired, target, staged.descriptor)
        try:
            exchange_with_staged(staged, owned, work, f"{desired.sha256}.{self.machine.agent_id}.{uuid4().hex}.part")
            self._confirm(desired, target, staged.descriptor)
        except NotPlaced:
            self.machine.journal.delete_placements([_build_placement(desired, target, None)])
            raise
        except OSError as failure:
            if failure.errno != errno.EXDEV:
                raise
            self._exchange_copy(staged, desired, target, owned)

    def _exchange_copy(self, staged: StagedFile, desired: DesiredModel, target: Target, owned: OwnedFile) -> None:
        """Exchange the old file with a copy of the staged one, for a work folder on another file system.

        Confirm the row. The old file is deleted, since the trash is on the other file system too, and the staged one as
        well.
        """
        name = target.path.name
        with self._copy_beside(staged, desired, owned.folder, name) as copy:
            self._record_intent(desired, target, copy)
            exchange_owned_file(owned.folder, self._get_temporary_name(name), owned)
            # Before confirming: after a kill, only temporary files of unconfirmed rows are deleted.
            owned.folder.remove_file(self._get_temporary_name(name))
            self._confirm(desired, target, copy)
        staged.folder.remove_file(staged.name)

    def _record_intent(self, desired: DesiredModel, target: Target, descriptor: int) -> None:
        """Record in the journal that a staged file is about to get the target's name."""
        self.machine.journal.record_intent(replace(_build_placement(desired, target, descriptor), is_confirmed=False))

    def _confirm(self, desired: DesiredModel, target: Target, descriptor: int) -> None:
        """Confirm a placement in the journal, and add its hash to the index."""
        self.machine.journal.confirm(_build_placement(desired, target, descriptor))
        with suppress(StateFileError):  # the index only saves time
            self.machine.index.add_hash(target.path, get_identity(descriptor), desired.sha256)

    def _adopt_existing(self, desired: DesiredModel, target: Target, folder: OpenFolder) -> None:
        """Record the file at the target as found if it has the desired content; otherwise delete the row of the intent.

        Raises:
            NotPlaced: it has other content, or is not a readable regular file.
        """
        try:
            with folder.open_file(target.path.name) as descriptor:
                sha256 = hash_unchanged_file(target.path, descriptor, self.stopped)
                placement = replace(_build_placement(desired, target, descriptor), origin="found")
        except OSError as failure:
            self.machine.journal.delete_placements([_build_placement(desired, target, None)])
            raise NotPlaced(
                "conflict", f"{quoted(target.path)} is in the model's place: {failure.strerror}. Move it away."
            ) from failure
        if sha256 != desired.sha256:
            self.machine.journal.delete_placements([placement])
            raise NotPlaced("conflict", _describe_other_file(target.path, desired.sha256, sha256))
        self.machine.journal.confirm(placement)

    @contextmanager
    def _copy_beside(self, staged: StagedFile, desired: DesiredModel, folder: OpenFolder, name: str) -> Iterator[int]:
        """Copy a staged file beside the name, for a work folder on another file system; yield the copy's descriptor.

        The copy is verified and synced. Its temporary name is deleted after the block.

        Raises:
            NotPlaced: another process places the file, or the copy has other content than the staged file.
        """
        copy_path = folder.path / self._get_temporary_name(name)
        descriptor = filesystem.open_locked_single_link(copy_path, folder.descriptor)
        if descriptor is None:
            raise NotPlaced("queued", f"Another process is placing {quoted(folder.path / name)}.")
        try:
            os.ftruncate(descriptor, 0)
            if hash_descriptor(staged.descriptor, self.stopped, copy_descriptor=descriptor) != desired.sha256:
                raise NotPlaced(
                    "failed",
                    f"The disk of {quoted(staged.folder.path)} returned wrong content. Check the disk.",
                )
            set_time_and_sync(descriptor, desired)
            yield descriptor
        finally:
            folder.remove_file(copy_path.name)
            os.close(descriptor)

    def _build_expected_file(self, placement: Placement) -> ExpectedFile:
        """Build the description of a placed file that must still have its content when it is removed or replaced."""
        return ExpectedFile(placement.sha256, self._get_temporary_name(placement.path.name), self.stopped)

    def _get_temporary_name(self, name: str) -> str:
        """Return the name of this agent's temporary file beside a file."""
        return f".{name}.{self.machine.agent_id}.part"


def _build_placement(desired: DesiredModel, target: Target, descriptor: int | None) -> Placement:
    """Build the confirmed journal row of a placed file; without a descriptor, device and inode are 0."""
    status = None if descriptor is None else os.fstat(descriptor)
    device, inode = (status.st_dev, status.st_ino) if status else (0, 0)
    return Placement(target.path, desired.sha256, desired.size, desired.id, "placed", device=device, inode=inode)


def _describe_other_file(path: Path, expected: str, found: str) -> str:
    """Describe a file with other content in a model's place, with both hashes and what to do."""
    return (
        f"{quoted(path)} is another file: it has sha256:{found}, the model has sha256:{expected}."
        " Move it away or rename it."
    )
