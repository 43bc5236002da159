"""The folder of the local store, and who may own it.

    <root>/
    ├── lock                            held by the one process that serves this folder; its process id
    ├── objects/<purpose>/<team>/<id>/  published: ``bytes`` and ``about.json``; never written again
    ├── uploads/<upload id>/            open multipart uploads: ``bytes``, ``about.json``, ``parts.log``
    └── incoming/<random>/              whole files being written, and what is being deleted; of no worth after a crash

Every name in ``objects`` and ``uploads`` appears by one rename of a folder that is complete, so a crash leaves litter
in ``incoming`` only. ``about.json`` travels with the bytes: it tells which upload they came from, so that a repeated
``finish`` knows whether it was the one that won.
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

from modelyard.server.storage.blob_store import FolderInUse, StoreFull, check_key
from modelyard.server.storage.durable import disk_errors, fsync_folder, make_folders, move_folder, write_file
from modelyard.server.storage.following import Following


@dataclass(frozen=True)
class About:
    """What ``about.json`` says: which key the bytes are for, and for an upload how it is cut and since when.

    A whole file has no upload (``""``) and is one part. ``started`` is in seconds since 1970.
    """

    key: str
    upload: str
    size: int
    part_size: int
    started: float

    @property
    def started_at(self) -> datetime:
        return datetime.fromtimestamp(self.started, UTC)


def read_about(folder: Path) -> About | None:
    """What a folder says about itself, or None if it is gone."""
    try:
        return About(**json.loads((folder / "about.json").read_bytes()))
    except FileNotFoundError:
        return None


class FolderLock:
    """The right to serve a folder; ends with the process, however that ends."""

    def __init__(self, root: Path, descriptor: int) -> None:
        self.root = root
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next process in. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lock(root: Path) -> FolderLock:
    """Own the folder until the lock is released.

    Raises:
        FolderInUse: another process owns it; the sentence names it.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        process = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise FolderInUse(f'The folder "{root}" is in use by process {process}.', process=process) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return FolderLock(root, descriptor)


class Folder:
    """Paths in the folder, and the steps that change what it holds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects, self.uploads, self.incoming = root / "objects", root / "uploads", root / "incoming"
        with disk_errors():
            for folder in (self.objects, self.uploads, self.incoming):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fsync_folder(root)
        self._publishing = threading.Lock()
        # Renamed, but the name is not known to be on the disk: to everybody else these keys are not there yet.
        self._unsure: set[str] = set()

    def object(self, key: str) -> Path:
        """Where the bytes of a key are or will be; a folder."""
        return self.objects / check_key(key)

    def is_published(self, key: str) -> bool:
        """Whether the key is written, durably."""
        return key not in self._unsure and (self.object(key) / "bytes").exists()

    def free_bytes(self) -> int:
        """What the file system would still give to this process."""
        with disk_errors():
            disk = os.statvfs(self.root)
        return disk.f_bavail * disk.f_frsize

    def whole_bytes(self) -> int:
        """What is used of the file system and what is free, without what is set aside for root."""
        with disk_errors():
            disk = os.statvfs(self.root)
        return (disk.f_blocks - disk.f_bfree + disk.f_bavail) * disk.f_frsize

    def new_private(self, about: About, link: Path | None = None) -> Path:
        """A private folder that describes itself, with ``about.size`` bytes set aside, or with the bytes of ``link``.

        Raises:
            StoreFull: the bytes and a twentieth more do not fit.
        """
        if link is None and about.size + about.size // 20 > self.free_bytes():
            raise StoreFull("The disk has no room for this file.", size=about.size)
        private = self.incoming / secrets.token_hex(16)
        try:
            with disk_errors():
                private.mkdir(mode=0o700)
                if link is None:
                    _set_aside(private / "bytes", about.size)
                else:
                    os.link(link, private / "bytes")
                write_file(private / "about.json", json.dumps(asdict(about)).encode())
        except BaseException:
            self.throw_away(private)
            raise
        return private

    def publish(self, source: Path, key: str, following: Following | None) -> bool:
        """Give a complete folder its key; False if the key is taken. Its bytes must be durable already.

        Until this returns True, nobody sees the key; if the last fsync fails, the folder goes back to where it was.
        """
        target = self.object(key)
        with disk_errors(), self._publishing:
            make_folders(target.parent, self.root)
            os.utime(source)
            fsync_folder(source)
            self._unsure.add(key)
            if not _move(source, target, following):
                self._unsure.discard(key)
                return False
            try:
                fsync_folder(target.parent)
            except OSError:
                _move(target, source, following)
                self._unsure.discard(key)
                raise
            self._unsure.discard(key)
            return True

    def make_sure(self, key: str) -> None:
        """Make the name of a published key durable once more, for a caller that did not hear that it was."""
        with disk_errors(), self._publishing:
            fsync_folder(self.object(key).parent)
            self._unsure.discard(key)

    def throw_away(self, folder: Path) -> None:
        """Make a folder disappear in one step, then free its bytes. It may be gone already."""
        rubbish = self.incoming / f"{secrets.token_hex(16)}.gone"
        with disk_errors():
            try:
                folder.rename(rubbish)
                fsync_folder(folder.parent)
            except FileNotFoundError:
                return
            shutil.rmtree(rubbish, ignore_errors=True)

    def recover(self, held: FolderLock) -> int:
        """Remove what a dead process left in ``incoming``, and count it. Only the owner may: ``held`` proves it.

        Raises:
            ValueError: the lock is of another folder.
        """
        if held.root != self.root:
            raise ValueError("This lock is of another folder.")
        # A process that was killed between a rename and its fsync left a name that we can see, but that is not on the
        # disk yet; the next acknowledgement would rely on it.
        os.sync()
        leftovers = list(self.incoming.iterdir())
        for leftover in leftovers:
            shutil.rmtree(leftover, ignore_errors=True)
        return len(leftovers)


def _set_aside(path: Path, size: int) -> None:
    """Make the file and reserve its blocks, so that a full disk shows before the first byte and not after the last."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if size:
            os.posix_fallocate(descriptor, 0, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move(source: Path, target: Path, following: Following | None) -> bool:
    if following is None:
        return move_folder(source, target)
    with following.moving():
        has_moved = move_folder(source, target)
        if has_moved:
            following.path = target / "bytes"
    return has_moved
