"""The folder of the local store, and the lock on it.

    <root>/
    ├── lock                            held by the one process that serves this folder; contains its process id
    ├── objects/<purpose>/<team>/<id>/  published objects: ``bytes`` and ``about.json``; never written again
    ├── uploads/<upload id>/            open multipart uploads: ``bytes``, ``about.json``, ``parts.log``
    └── incoming/<random>/              whole files being written, and what is being deleted; disposable after a crash

Every name in ``objects`` and ``uploads`` appears by one rename of a complete folder, so a crash leaves leftovers in
``incoming`` only. ``about.json`` moves with the bytes and names the upload they came from, so that a repeated
``finish_multipart`` can tell whether this upload was the published one.
"""

import fcntl
import json
import os
import secrets
import shutil
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from modelyard.server.storage.blob_store import FolderInUse, StoreFull, validate_key
from modelyard.server.storage.local.fsync import (
    create_folders,
    fsync_folder,
    rename_folder,
    translate_disk_errors,
    write_file,
)
from modelyard.server.storage.local.incremental_hash import IncrementalHash

# Uploads leave this share of the disk to the database, so that models can still be deleted on a full disk.
_RESERVED_FRACTION, _MAX_RESERVED_BYTES = 50, 1 << 30


@dataclass(frozen=True)
class ObjectMetadata:
    """The content of ``about.json``: the key of the bytes, and for an upload its part size and start.

    A whole file has an empty upload id (``""``) and is one part. ``started`` is in seconds since 1970.
    """

    key: str
    upload: str
    size: int
    part_size: int
    started: float

    @property
    def started_at(self) -> datetime:
        """Return ``started`` as an aware time in UTC."""
        return datetime.fromtimestamp(self.started, UTC)


def find_metadata(folder: Path) -> ObjectMetadata | None:
    """Return the metadata of an object's or upload's folder, or None if the folder or its ``about.json`` is gone."""
    try:
        return ObjectMetadata(**json.loads((folder / "about.json").read_bytes()))
    except FileNotFoundError:
        return None


def replace_metadata(folder: Path, metadata: ObjectMetadata) -> None:
    """Replace the metadata of an upload's folder in one step, durably. Errors of the operating system pass through."""
    new = folder / "about.new"
    new.unlink(missing_ok=True)
    write_file(new, json.dumps(asdict(metadata)).encode())
    new.replace(folder / "about.json")
    fsync_folder(folder)


class FolderLock:
    """The exclusive right to serve a folder; released by the kernel when the process ends."""

    def __init__(self, root: Path, descriptor: int) -> None:
        self.root = root
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock by closing its file. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lock_folder(root: Path) -> FolderLock:
    """Lock the folder for this process without waiting, and create it if necessary.

    Raises:
        FolderInUse: another process holds the lock; the message names its process id.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        process = _read_process(descriptor)
        os.close(descriptor)
        raise FolderInUse(f'The folder "{root}" is in use by process {process}.', process=process) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return FolderLock(root, descriptor)


def find_lock_holder(root: Path) -> str | None:
    """Return the id of the process that has locked the folder, or None. Creates nothing."""
    try:
        descriptor = os.open(root / "lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        process = _read_process(descriptor)
        # The test locks the file for a moment. Where a server may be about to lock it, this must not be in its way.
        if _is_running(process):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return process
    finally:
        os.close(descriptor)
    return None


def _read_process(descriptor: int) -> str:
    """Return the process id that a lock file has, or ``unknown``."""
    return os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"


def _is_running(process: str) -> bool:
    """Return whether a process has this id."""
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    return True


class StorageFolder:
    """The paths of a storage folder, and the operations that change its contents."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects, self.uploads, self.incoming = root / "objects", root / "uploads", root / "incoming"
        with translate_disk_errors():
            for folder in (self.objects, self.uploads, self.incoming):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fsync_folder(root)
        self._publishing = threading.Lock()
        # Keys that are renamed but not synced yet; they count as unpublished.
        self._unsynced_keys: set[str] = set()

    def get_object_folder(self, key: str) -> Path:
        """Return the folder of a key, which holds its bytes once it is published."""
        return self.objects / validate_key(key)

    def is_published(self, key: str) -> bool:
        """Return whether the key has an object, durably."""
        return key not in self._unsynced_keys and (self.get_object_folder(key) / "bytes").exists()

    def get_free_bytes(self) -> int:
        """Return how many bytes uploads may still use, without the reserve that is kept for the database."""
        with translate_disk_errors():
            disk = os.statvfs(self.root)
        reserved = min(_MAX_RESERVED_BYTES, disk.f_blocks * disk.f_frsize // _RESERVED_FRACTION)
        return max(0, disk.f_bavail * disk.f_frsize - reserved)

    def require_free_space(self, size: int) -> None:
        """Check that ``size`` more bytes fit now; no space is reserved for them.

        Raises:
            StoreFull: they do not fit; facts: ``needed_bytes``, ``free_bytes``.
        """
        free = self.get_free_bytes()
        if size > free:
            raise StoreFull(
                f"The registry's disk has {free} bytes free, and {size} are needed. What was received so far is kept.",
                needed_bytes=size,
                free_bytes=free,
            )

    def get_total_bytes(self) -> int:
        """Return the used and free bytes of the file system, without the part that is reserved for root."""
        with translate_disk_errors():
            disk = os.statvfs(self.root)
        return (disk.f_blocks - disk.f_bfree + disk.f_bavail) * disk.f_frsize

    def create_staging_folder(self, metadata: ObjectMetadata, link: Path | None = None, content: bytes = b"") -> Path:
        """Create a folder in ``incoming`` with its metadata, and a hard link to ``link``, or a file with ``content``.

        If that fails, the folder is deleted.

        Raises:
            StoreFull: without ``link``, ``metadata.size`` bytes do not fit; or the disk is full.
            StoreUnavailable
        """
        if link is None:
            self.require_free_space(metadata.size)
        staging = self.incoming / secrets.token_hex(16)
        try:
            with translate_disk_errors():
                staging.mkdir(mode=0o700)
                if link is None:
                    write_file(staging / "bytes", content)
                else:
                    os.link(link, staging / "bytes")
                write_file(staging / "about.json", json.dumps(asdict(metadata)).encode())
        except BaseException:
            self.delete_folder(staging)
            raise
        return staging

    def publish(self, source: Path, key: str, incremental_hash: IncrementalHash | None) -> bool:
        """Rename a complete folder to the folder of its key; return False if the key has an object already.

        The bytes must be durable already. The key becomes visible when this returns True, and ``incremental_hash``
        follows the file.

        Raises:
            StoreFull, StoreUnavailable: nothing was published; after a failed fsync the folder was renamed back.
        """
        target = self.get_object_folder(key)
        with translate_disk_errors(), self._publishing:
            create_folders(target.parent, self.root)
            os.utime(source)
            fsync_folder(source)
            self._unsynced_keys.add(key)
            if not _move(source, target, incremental_hash):
                self._unsynced_keys.discard(key)
                return False
            try:
                fsync_folder(target.parent)
            except OSError:
                _move(target, source, incremental_hash)
                self._unsynced_keys.discard(key)
                raise
            self._unsynced_keys.discard(key)
            return True

    def fsync_key(self, key: str) -> None:
        """Make the name of a published key durable again, for a caller that did not receive the first confirmation."""
        with translate_disk_errors(), self._publishing:
            fsync_folder(self.get_object_folder(key).parent)
            self._unsynced_keys.discard(key)

    def delete_folder(self, folder: Path) -> None:
        """Delete a folder: rename it to ``incoming`` in one step, then free its bytes. It may be gone already.

        What cannot be freed stays in ``incoming`` until ``delete_leftovers``.
        """
        doomed = self.incoming / f"{secrets.token_hex(16)}.gone"
        with translate_disk_errors():
            try:
                folder.rename(doomed)
                fsync_folder(folder.parent)
            except FileNotFoundError:
                return
            shutil.rmtree(doomed, ignore_errors=True)

    def delete_leftovers(self, folder_lock: FolderLock) -> int:
        """Flush all disks, delete what a dead process left in ``incoming``, and return the number of items.

        Raises:
            ValueError: the lock is for another folder. ``folder_lock`` proves that the caller may serve this one.
        """
        if folder_lock.root != self.root:
            raise ValueError("This lock is for another folder.")
        # A process that was killed between a rename and its fsync left a name that is visible but not on the disk;
        # the next confirmation would rely on it.
        os.sync()
        leftovers = list(self.incoming.iterdir())
        for leftover in leftovers:
            shutil.rmtree(leftover, ignore_errors=True)
        return len(leftovers)


def _move(source: Path, target: Path, incremental_hash: IncrementalHash | None) -> bool:
    """Rename a folder, and set the path of its hash; return False if the target is used."""
    if incremental_hash is None:
        return rename_folder(source, target)
    with incremental_hash.paused_for_rename():
        has_moved = rename_folder(source, target)
        if has_moved:
            incremental_hash.path = target / "bytes"
    return has_moved


def get_file_version(status: os.stat_result) -> str:
    """Return the value of ``StoredObject.version`` for a file with this status."""
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}"
