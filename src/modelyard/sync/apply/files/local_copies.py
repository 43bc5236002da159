"""Verified copies of local files in a work folder: by reflink, hard link, or byte by byte.

``placement.py`` renames them to their final names.
"""

import errno
import os
import stat
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.dir_handles import OpenFolder
from modelyard.sync.apply.files.file_ops import hash_descriptor, hash_unchanged_file, set_time_and_sync
from modelyard.sync.apply.files.rename import StagedFile
from modelyard.sync.apply.files.trash import make_disk_space
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.filesystem import clone_blocks
from modelyard.sync.planning.actions import Source
from modelyard.transfer.portable.files import READ_ONLY, open_unfollowed

CopyMethod = Literal["reflink", "hard link", "copy"]

_LINK_UNSUPPORTED = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
)


@dataclass(frozen=True)
class StagingArea:
    """A work folder for local copies, with the agent that makes them and the bytes that must stay free.

    ``kept_trash_hashes``: hashes of files in the trash that are desired again.
    """

    work: OpenFolder
    agent_id: str
    keep_free: int
    stopped: threading.Event
    kept_trash_hashes: Collection[str] = ()

    @contextmanager
    def stage_copy(self, source: Source, desired: DesiredModel) -> Iterator[tuple[StagedFile, CopyMethod]]:
        """Copy the source to a name in the work folder: by reflink, else hard link where allowed, else byte by byte.

        The copy is verified and durable. A hard link keeps the times and the mode of its source. A copy that was not
        renamed in the block is deleted afterwards. Files in the trash are deleted if a byte copy needs the space.

        Raises:
            NotPlaced: the source has changed, or disk space for a copy is lacking.
            ReadStopped: ``stopped`` was set.
        """
        name = f"{desired.sha256}.{self.agent_id}.{uuid4().hex}.part"
        original = _open_source(source.path)
        try:
            descriptor, method = self._create_copy(name, original, source, desired)
            try:
                yield StagedFile(self.work, name, descriptor), method
            finally:
                os.close(descriptor)
        finally:
            os.close(original)
            self.work.remove_file(name)

    def _create_copy(self, name: str, original: int, source: Source, desired: DesiredModel) -> tuple[int, CopyMethod]:
        """Create a verified, durable copy of an open source; return its descriptor and how it was made.

        Raises:
            NotPlaced: the source has changed, or disk space for a copy is lacking.
            ReadStopped: ``stopped`` was set.
        """
        if os.fstat(original).st_size != desired.size:
            raise build_source_changed(source.path)
        descriptor = self.work.create_file(name)
        try:
            method: CopyMethod = "reflink"
            if clone_blocks(original, descriptor):
                sha256 = hash_descriptor(descriptor, self.stopped)
            elif source.is_link_allowed and self._link_source(name, original, source.path):
                os.close(descriptor)
                method, descriptor = "hard link", os.dup(original)
                sha256 = hash_unchanged_file(source.path, original, self.stopped)
            else:
                method = "copy"
                make_disk_space(self.work, name, desired, self.keep_free, self.kept_trash_hashes)
                sha256 = hash_descriptor(original, self.stopped, copy_descriptor=descriptor)
            if sha256 != desired.sha256:
                raise build_source_changed(source.path)
            if method == "hard link":
                os.fsync(descriptor)
            else:
                set_time_and_sync(descriptor, desired)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, method

    def _link_source(self, name: str, original: int, path: Path) -> bool:
        """Replace the empty file ``name`` by a hard link to the source; return False if that is not possible here.

        Raises ``NotPlaced`` if ``path`` is not the file ``original`` any more.
        """
        link_name = f"{name.removesuffix('.part')}.link.part"
        try:
            os.link(path, self.work.locate(link_name), dst_dir_fd=self.work.descriptor, follow_symlinks=False)
        except OSError as failure:
            if failure.errno not in _LINK_UNSUPPORTED:
                raise
            return False
        status = self.work.get_status(link_name)
        if status is None or not os.path.samestat(status, os.fstat(original)):
            self.work.remove_file(link_name)
            raise build_source_changed(path)
        self.work.replace_file(link_name, self.work, name)
        return True


def _open_source(path: Path) -> int:
    """Open a source for reading and return its descriptor; raise ``NotPlaced`` if it is not a regular file."""
    descriptor = open_unfollowed(path, READ_ONLY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise build_source_changed(path)
    return descriptor


def build_source_changed(path: Path) -> NotPlaced:
    """Build the error, with the state queued, for a source that is not the file that the plan expected."""
    reason = f"The source file {quoted(path)} has changed since the plan was made. The machine will plan again."
    return NotPlaced("queued", reason)
