"""Partial files: written at several offsets, locked by one process, and resumable by a later one."""

import os
import threading
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from modelyard.transfer import filesystem
from modelyard.transfer.byte_ranges import ByteRange, ByteRanges
from modelyard.transfer.download.checkpoint import Checkpoint, CheckpointState
from modelyard.transfer.errors import build_disk_error
from modelyard.transfer.portable.files import get_allocated_bytes, open_unfollowed, read_at, write_at

_MAX_NAMES = 16
# Writes of 1 MiB were measured to take up to five times the CPU of these on one virtual machine; the cause is unknown.
_MAX_WRITE_SIZE = 256 * 1024


class Watermark(NamedTuple):
    """The received prefix of a file: bytes 0 to before ``end``.

    Another ``generation`` means that the contents were discarded in between.
    """

    generation: int
    end: int


class PartialFile:
    """An open, locked partial file. Thread-safe; blocking.

    Begins with the ranges of its checkpoint; if those are not usable, the contents are discarded. Writing is not synced
    before ``save_checkpoint``, ``sync`` or ``place``.

    Raises:
        DiskFull: from methods that access the disk, if it is full.
        DiskFailed: from these methods, on any other error.
        OSError: from ``remove``, ``mark_placed`` and the constructor, which may raise it unchanged.
    """

    def __init__(
        self, name: "PartialPath", descriptor: int, checkpoint: Checkpoint, *, is_resumable: bool = True
    ) -> None:
        self.path, self.folder = name
        self.descriptor = descriptor
        self.is_resumable = is_resumable  # whether a later process can find and resume it
        self.is_finished = False  # whether it was renamed to its final name or deleted
        self.is_intact = True  # false after fsync failed: the contents are then unreliable
        self._checkpoint = checkpoint
        self._changed = threading.Condition()
        self._generation = 0
        self._stopped = False
        self._awaited_end = 0
        self._saved_bytes = 0
        self._ranges, self.etag = checkpoint.read() if is_resumable else CheckpointState(ByteRanges(), None)
        on_disk = os.fstat(descriptor).st_size
        if any(end > on_disk for _, end in self._ranges):
            self._ranges, self.etag = ByteRanges(), None
        if not self._ranges.total:
            self.discard_contents()
        self._saved_bytes = self._ranges.total

    @property
    def received_bytes(self) -> int:
        """The number of bytes received, at any offset."""
        return self._ranges.total

    def find_missing(self, start: int, end: int) -> list[ByteRange]:
        """Return the ranges between two offsets that have not been received, in ascending order."""
        with self._changed:
            return self._ranges.find_missing(start, end)

    def matches_or_records_etag(self, etag: str | None) -> bool:
        """Return whether ``etag`` is that of the object that the received bytes came from; record the first one.

        An ETag is recorded if there is none since the contents were empty. None always matches.
        """
        with self._changed:
            if self.etag is None:
                self.etag = etag
            return etag is None or etag == self.etag

    def write(self, chunk: memoryview, offset: int) -> None:
        """Write received bytes at their offset and wake the thread in ``wait_for_bytes`` if it can continue.

        Raises:
            DiskFull, DiskFailed: the bytes could not be written; they are not counted then.
        """
        try:
            written = 0
            while written < len(chunk):
                written += write_at(self.descriptor, chunk[written : written + _MAX_WRITE_SIZE], offset + written)
        except OSError as failure:
            raise build_disk_error(self.path, failure) from failure
        with self._changed:
            self._ranges.add(offset, offset + len(chunk))
            if self._ranges.count_leading_bytes() >= self._awaited_end:
                self._changed.notify_all()

    def read(self, buffer: memoryview, offset: int) -> int:
        """Read bytes from ``offset`` into ``buffer`` and return their number, which may be less than its length.

        Raises:
            DiskFailed: they cannot be read.
        """
        try:
            return read_at(self.descriptor, buffer, offset)
        except OSError as failure:
            raise build_disk_error(self.path, failure) from failure

    def discard_contents(self) -> None:
        """Discard all contents, the ETag and the checkpoint, and wake the thread in ``wait_for_bytes``.

        The checkpoint is synced first, so that it never describes bytes that are gone.

        Raises:
            DiskFull, DiskFailed: the file or the checkpoint cannot be changed.
        """
        try:
            self._checkpoint.reset()
            with self._changed:
                os.ftruncate(self.descriptor, 0)
                self._ranges, self.etag, self._saved_bytes = ByteRanges(), None, 0
                self._generation += 1
                self._changed.notify_all()
        except OSError as failure:
            raise build_disk_error(self.path, failure) from failure

    def wait_for_bytes(self, seen: Watermark, until: int) -> Watermark:
        """Wait until the received prefix reaches ``until``, and return that prefix.

        Returns earlier, with a shorter one, if the contents were discarded since ``seen``, and at once after
        ``stop_waiting``. Only one thread may wait at a time.
        """
        with self._changed:
            self._awaited_end = until
            while (
                now := Watermark(self._generation, self._ranges.count_leading_bytes())
            ).end < until and not self._stopped:
                if now.generation != seen.generation:
                    break
                self._changed.wait()
            return now

    def stop_waiting(self) -> None:
        """Make the current and all later calls of ``wait_for_bytes`` return at once."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def save_checkpoint(self) -> None:
        """Sync the received bytes, then record them in the checkpoint file; nothing if there are no new ones."""
        with self._changed:
            state = CheckpointState(ByteRanges(self._ranges), self.etag)
            generation = self._generation
        if state.ranges.total == self._saved_bytes:
            return
        self.sync()
        with self._changed:
            # After discard_contents these ranges would describe bytes that no longer exist.
            if generation == self._generation:
                self._append(state)

    def _append(self, state: CheckpointState) -> None:
        """Append a state to the checkpoint file; raise DiskFull or DiskFailed on failure. The caller holds the lock."""
        try:
            self._checkpoint.append(state)
        except OSError as failure:
            raise build_disk_error(self.path, failure) from failure
        self._saved_bytes = state.ranges.total

    def sync(self) -> None:
        """Sync the file; a failure clears ``is_intact`` for good, as the kernel reports an error only once.

        Raises:
            DiskFull, DiskFailed: the file could not be synced.
        """
        try:
            os.fsync(self.descriptor)
        except OSError as failure:
            self.is_intact = False
            raise build_disk_error(self.path, failure) from failure

    def get_allocated_bytes(self) -> int:
        """Return how many bytes of disk space the file occupies already."""
        return get_allocated_bytes(os.fstat(self.descriptor))

    def place(self, target: Path, *, sha256: str, replace: bool) -> None:
        """Sync the file, rename it by path as ``filesystem.place`` does, and delete the checkpoint file.

        Raises as that does, but ``DiskFull`` or ``DiskFailed`` for an ``OSError``.
        """
        self.sync()
        try:
            filesystem.place(self.path, target, sha256=sha256, replace=replace)
            self.mark_placed()
        except OSError as failure:
            raise build_disk_error(target, failure) from failure

    def mark_placed(self) -> None:
        """Record that the caller has renamed the file to its final name, and delete the checkpoint file."""
        self.is_finished = True
        self._checkpoint.remove()

    def remove(self) -> None:
        """Delete the file and its checkpoint file."""
        self.is_finished = True
        # The checkpoint file first: alone it would be left over forever; a partial file without one is overwritten.
        self._checkpoint.remove()
        filesystem.remove(self.path, self.folder)

    def close(self) -> None:
        """Close the file, which releases its lock."""
        os.close(self.descriptor)


class PartialPath(NamedTuple):
    """The path of a partial file, and optionally an open descriptor of its folder.

    With ``folder``, the path is used for messages and the file is opened relative to the descriptor.
    """

    path: Path
    folder: int | None = None


def open_partial_file(path: Path, size: int, sha256: str, folder: int | None = None) -> PartialFile:
    """Open and lock the partial file at ``path`` with the contents of an earlier run, or create it.

    Another name is used if a running process holds the lock, and a random one, which no later run resumes, if locks do
    not exclude others or 15 names are in use. ``folder`` is an open descriptor of the folder of
    ``path``; it prevents others from redirecting the path. Machines that share a folder must use different paths,
    since locks do not always work across machines.

    Raises:
        DiskFull: the disk is full.
        DiskFailed: the file cannot be created or opened.
    """
    try:
        if not filesystem.is_locking_exclusive(path, folder):
            return create_unshared_file(path, size, sha256, folder)
        for name in (path, *(path.with_stem(f"{path.stem}.{number}") for number in range(2, _MAX_NAMES))):
            if (descriptor := filesystem.open_locked_single_link(name, folder)) is not None:
                return PartialFile(PartialPath(name, folder), descriptor, _build_checkpoint(name, size, sha256, folder))
        return create_unshared_file(path, size, sha256, folder)
    except OSError as failure:
        raise build_disk_error(path, failure) from failure


def create_unshared_file(path: Path, size: int, sha256: str, folder: int | None = None) -> PartialFile:
    """Create a partial file with a random name, which no later run resumes; for folders without working locks."""
    name = path.with_stem(f"{path.stem}.{uuid4().hex}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    descriptor = open_unfollowed(filesystem.get_openat_name(name, folder), flags, folder)
    return PartialFile(
        PartialPath(name, folder), descriptor, _build_checkpoint(name, size, sha256, folder), is_resumable=False
    )


def _build_checkpoint(name: Path, size: int, sha256: str, folder: int | None = None) -> Checkpoint:
    """Return the checkpoint of the partial file ``name``, which is beside it with the suffix ``.journal``."""
    return Checkpoint(name.with_name(f"{name.name}.journal"), size, sha256, folder)
