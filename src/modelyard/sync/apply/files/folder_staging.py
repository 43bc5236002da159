"""Complete a folder model in the work folder: what this machine has is linked or copied, the rest is downloaded.

<work folder>/<sha256 of the manifest>.<agent id>.folder    each file in it is complete; a later run continues
"""

import errno
import os
import stat
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.dir_handles import OpenFolder, open_folder
from modelyard.sync.apply.files.file_ops import get_identity, hash_descriptor
from modelyard.sync.apply.files.folder_leftovers import STAGING_SUFFIX
from modelyard.sync.apply.files.folder_placement import StagedFolder
from modelyard.sync.apply.files.folder_trees import FolderTree, delete_foreign_entries, open_file_folder, sync_folders
from modelyard.sync.apply.files.rename import rename_without_replacing
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.filesystem import clone_blocks
from modelyard.sync.inventory.model_times import compute_folder_file_mtime_ns
from modelyard.sync.inventory.placement_journal import PlacementJournal
from modelyard.sync.inventory.work_folders import TRASH_FOLDER
from modelyard.transfer.download.partial_file import PartialFile
from modelyard.transfer.portable.files import set_mtime
from modelyard.transfer.source_file import FileIdentity
from modelyard.wire.folders.manifest import FolderFile

_LINK_UNSUPPORTED = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
)


def build_file_model(desired: DesiredModel, file: FolderFile) -> DesiredModel:
    """Return one file of a folder as what has to be downloaded."""
    return replace(desired, size=file.size, sha256=file.sha256, files=(), is_folder=False, file_path=file.path)


def list_local_files(journal: PlacementJournal, work: OpenFolder) -> dict[str, list[Path]]:
    """Return the paths of the files of folders that this agent placed, or moved to the trash, by hash. Blocking.

    Not all of them need exist, or have that content.
    """
    folders = [
        (placement.path, placement.sha256)
        for placement in journal.list_placements()
        if placement.is_folder and placement.origin == "placed"
    ]
    with suppress(FileNotFoundError), work.open_subfolder(TRASH_FOLDER) as trash:
        folders += [(trash.path / name, name.partition(".")[0]) for name in trash.list_names()]
    paths: dict[str, list[Path]] = {}
    for path, sha256 in folders:
        for file in journal.folder_lists.find(sha256) or ():
            paths.setdefault(file.sha256, []).append(path / file.path)
    return paths


@dataclass(frozen=True)
class FolderStaging:
    """A folder that is being completed. Blocking. ``local_files``: possible sources by hash, which are verified.

    ``linked_folders``: the folders of which files may be linked, since no model will have them. ``verified``: what each
    complete file was when its content was read.

    Raises:
        OSError, NotPlaced: the disk failed.
        ReadStopped: ``stopped`` was set.
    """

    work: OpenFolder
    desired: DesiredModel
    agent_id: str
    stopped: threading.Event
    local_files: dict[str, list[Path]] = field(default_factory=dict)
    linked_folders: tuple[Path, ...] = ()
    verified: dict[str, FileIdentity] = field(default_factory=dict)
    inodes: set[int] = field(default_factory=set)  # of files that were here before, or linked, or copied

    @property
    def name(self) -> str:
        """Return the name of the folder in the work folder."""
        return f"{self.desired.sha256}.{self.agent_id}{STAGING_SUFFIX}"

    def prepare(self) -> None:
        """Create the staged folder if it is missing, and delete what does not belong to the model from it."""
        with self._open(make=True) as folder:
            delete_foreign_entries(folder, FolderTree.from_files(self.desired.files))

    def stage_local(self, file: FolderFile) -> bool:
        """Get a file of the folder from this machine if possible, and return whether the folder has it now, verified.

        A file from an earlier run is verified, and deleted if it is wrong. Otherwise a file with the same content is
        linked or copied. The folders above it are created.
        """
        with self._open() as folder, open_file_folder(folder, file.path, make=True) as (parent, name):
            if parent.get_status(name) is not None:
                if self._verify(parent, name, file):
                    return True
                parent.remove_file(name)
            staged = self.work.path / self.name
            local = sorted(self.local_files.get(file.sha256, ()), key=lambda path: not self._is_linkable(path))
            for path in (*local, *self._list_equal(file, staged)):
                with suppress(FileNotFoundError, NotPlaced), open_folder(path.parent) as source:
                    if self._is_readable_source(source, path.name, file):
                        self._link_or_copy(source, path.name, parent, name, file)
                        if self._verify(parent, name, file):
                            return True
                        parent.remove_file(name)
        return False

    def place_partial(self, file: FolderFile, partial: PartialFile) -> None:
        """Set the time of a verified download, sync it, and rename it to its place in the folder."""
        set_mtime(partial.descriptor, compute_folder_file_mtime_ns(file.sha256))
        partial.sync()
        self.verified[file.path] = get_identity(partial.descriptor)
        with self._open() as folder, open_file_folder(folder, file.path, make=True) as (parent, name):
            rename_without_replacing(self.work, partial.path.name, parent, name)
        partial.mark_placed()

    def finish(self) -> StagedFolder:
        """Make the complete folder durable and return it; ``NotPlaced`` if a file was written since it was verified."""
        with self._open() as folder:
            sync_folders(folder)
            self.work.sync_to_disk()
            status = os.stat(folder.location)  # noqa: PTH116 - of a descriptor
        hashes = {file.path: file.sha256 for file in self.desired.files}
        staged = StagedFolder(self.work, self.name, status, hashes, self.verified)
        staged.check_unchanged(self.stopped)
        return staged

    def _open(self, *, make: bool = False) -> OpenFolder:
        """Open the folder."""
        return self.work.open_subfolder(self.name, make=make)

    def _list_equal(self, file: FolderFile, staged: Path) -> Iterable[Path]:
        """Yield the paths of the files before this one in the folder that have the same content."""
        for other in self.desired.files:
            if other.path == file.path:
                return
            if other.sha256 == file.sha256:
                yield staged / other.path

    def _is_linkable(self, path: Path) -> bool:
        """Return whether a path is in the folder that is replaced, or in the trash."""
        return any(path.is_relative_to(folder) for folder in self.linked_folders)

    def _is_readable_source(self, source: OpenFolder, name: str, file: FolderFile) -> bool:
        """Return whether a name in another folder has the content of ``file``; False if it cannot be read."""
        try:
            return self._find_content(source, name, file) is not None
        except OSError:
            return False

    def _verify(self, parent: OpenFolder, name: str, file: FolderFile) -> bool:
        """Return whether a name in the folder has the content of ``file``, and keep the identity that it had then."""
        if (identity := self._find_content(parent, name, file)) is None:
            return False
        self.verified[file.path] = identity
        self.inodes.add(identity.inode)
        return True

    def _find_content(self, folder: OpenFolder, name: str, file: FolderFile) -> FileIdentity | None:
        """Return what a name is, from before it was read, if it is a regular file with the content of ``file``."""
        status = folder.get_status(name)
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
            return None
        with folder.open_file(name) as descriptor:
            identity = get_identity(descriptor)
            return identity if hash_descriptor(descriptor, self.stopped) == file.sha256 else None

    def _link_or_copy(
        self, source: OpenFolder, source_name: str, parent: OpenFolder, name: str, file: FolderFile
    ) -> None:
        """Give a verified file of the folder that is replaced, or of the trash, a second name; copy any other.

        A link to another model's file is not made: a program that writes to one in place would change both.
        """
        if self._is_linkable(source.path) and not self._is_shared(source, source_name):
            try:
                os.link(
                    source.locate(source_name),
                    parent.locate(name),
                    src_dir_fd=source.descriptor,
                    dst_dir_fd=parent.descriptor,
                    follow_symlinks=False,
                )
            except OSError as failure:
                if failure.errno not in _LINK_UNSUPPORTED:
                    raise
            else:
                return
        self._copy(source, source_name, parent, name, file)

    def _is_shared(self, source: OpenFolder, name: str) -> bool:
        """Return whether a file has a name in this folder already, or is in the trash and has another name anywhere."""
        status = source.get_status(name)
        if status is None:
            return False
        is_in_trash = source.path.is_relative_to(self.work.path)
        return (is_in_trash and status.st_nlink > 1) or status.st_ino in self.inodes

    def _copy(self, source: OpenFolder, source_name: str, parent: OpenFolder, name: str, file: FolderFile) -> None:
        """Copy a file durably, as shared blocks where the file system can do that.

        The next run deletes an incomplete copy, since its content is wrong.
        """
        descriptor = parent.create_file(name)
        try:
            with source.open_file(source_name) as original:
                if not clone_blocks(original, descriptor):
                    hash_descriptor(original, self.stopped, copy_descriptor=descriptor)
            set_mtime(descriptor, compute_folder_file_mtime_ns(file.sha256))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
