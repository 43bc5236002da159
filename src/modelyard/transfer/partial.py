"""A file that grows in several places, outlives the process that grows it, and belongs to one process at a time."""

import os
import threading
import time
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from modelyard.transfer import disk
from modelyard.transfer.failures import disk_failure
from modelyard.transfer.journal import Journal, Kept
from modelyard.transfer.spans import Span, Spans

_NAMES = 16
# Writes of a whole mebibyte were measured to cost up to five times the CPU of these, on one virtual machine; why is not
# known.
_LARGEST_WRITE = 256 * 1024


class Frontier(NamedTuple):
    """The bytes from 0 to before ``end`` are there. A new ``generation`` means that all was thrown away meanwhile."""

    generation: int
    end: int


class Partial:
    """An open, locked partial file. Thread-safe; blocking.

    Raises:
        DiskFull, DiskFailed: from every method that touches the disk.
    """

    def __init__(self, name: "Name", descriptor: int, journal: Journal, *, lasts: bool = True) -> None:
        self.path, self.folder = name
        self.descriptor = descriptor
        self.lasts = lasts  # whether another process can find it and go on
        self.is_gone = False  # whether it has its final name by now, or none
        self.is_sound = True  # false once the disk failed to keep what it was given
        self._journal = journal
        self._changed = threading.Condition()
        self._generation = 0
        self._stopped = False
        self._awaited = 0
        self._noted = 0
        self._spans, self.etag = journal.read() if lasts else Kept(Spans(), None)
        on_disk = os.fstat(descriptor).st_size
        if any(end > on_disk for _, end in self._spans):
            self._spans, self.etag = Spans(), None
        if not self._spans.total:
            self.start_over()
        self._noted = self._spans.total

    @property
    def held(self) -> int:
        """How many bytes are there."""
        return self._spans.total

    def missing(self, start: int, end: int) -> list[Span]:
        """What is not there between two offsets, in order."""
        with self._changed:
            return self._spans.missing(start, end)

    def is_object(self, etag: str | None) -> bool:
        """Whether an object with this ETag may be the one that the bytes came from; the first one asked about is."""
        with self._changed:
            if self.etag is None:
                self.etag = etag
            return etag is None or etag == self.etag

    def write(self, piece: memoryview, offset: int) -> None:
        """Put bytes in their place."""
        try:
            written = 0
            while written < len(piece):
                written += os.pwrite(self.descriptor, piece[written : written + _LARGEST_WRITE], offset + written)
        except OSError as failure:
            raise disk_failure(self.path, failure) from failure
        with self._changed:
            self._spans.add(offset, offset + len(piece))
            if self._spans.frontier() >= self._awaited:
                self._changed.notify_all()

    def read(self, buffer: memoryview, offset: int) -> int:
        """Fill ``buffer`` from ``offset`` as far as one read goes."""
        try:
            return os.preadv(self.descriptor, [buffer], offset)
        except OSError as failure:
            raise disk_failure(self.path, failure) from failure

    def start_over(self) -> None:
        """Throw everything away, durably before the first new byte."""
        try:
            self._journal.begin()
            with self._changed:
                os.ftruncate(self.descriptor, 0)
                self._spans, self.etag, self._noted = Spans(), None, 0
                self._generation += 1
                self._changed.notify_all()
        except OSError as failure:
            raise disk_failure(self.path, failure) from failure

    def wait_for_more(self, seen: Frontier, until: int) -> Frontier:
        """The frontier when it reaches ``until`` or belongs to another generation, or at once after ``stop_waiting``.

        One thread at a time.
        """
        with self._changed:
            self._awaited = until
            while (now := Frontier(self._generation, self._spans.frontier())).end < until and not self._stopped:
                if now.generation != seen.generation:
                    break
                self._changed.wait()
            return now

    def stop_waiting(self) -> None:
        """End ``wait_for_more``, now and later."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def checkpoint(self) -> None:
        """Bring what is there to the disk, then note it in the journal."""
        with self._changed:
            kept = Kept(Spans(self._spans), self.etag)
            generation = self._generation
        if kept.spans.total == self._noted:
            return
        self.sync()
        with self._changed:
            # After start_over the noted spans would speak of bytes that are gone.
            if generation == self._generation:
                self._append(kept)

    def _append(self, kept: Kept) -> None:
        try:
            self._journal.append(kept)
        except OSError as failure:
            raise disk_failure(self.path, failure) from failure
        self._noted = kept.spans.total

    def sync(self) -> None:
        """Bring all bytes to the disk. After a failure nothing here can be trusted: the kernel reports it only once."""
        try:
            os.fsync(self.descriptor)
        except OSError as failure:
            self.is_sound = False
            raise disk_failure(self.path, failure) from failure

    def allocated(self) -> int:
        """The bytes of disk that the file takes already."""
        return os.fstat(self.descriptor).st_blocks * 512

    def place(self, target: Path, *, sha256: str, replace: bool) -> None:
        """Give the file its final name, see ``disk.place``; the journal goes."""
        self.sync()
        try:
            disk.place(self.path, target, sha256=sha256, replace=replace)
            self.let_go()
        except OSError as failure:
            raise disk_failure(target, failure) from failure

    def let_go(self) -> None:
        """Note that the file has its final name; the journal goes."""
        self.is_gone = True
        self._journal.remove()

    def remove(self) -> None:
        """Delete the file and its journal."""
        self.is_gone = True
        # The journal goes first: without the file it would be litter, without it the file starts over.
        self._journal.remove()
        disk.remove(self.path, self.folder)

    def close(self) -> None:
        """Give up the lock."""
        os.close(self.descriptor)


class Name(NamedTuple):
    """A file, and the open folder that has it where the path is not to be trusted: the path is then for messages."""

    path: Path
    folder: int | None = None


def claim(path: Path, size: int, sha256: str, folder: int | None = None) -> Partial:
    """The partial file at ``path`` with what an earlier run left there; under another name if a live process has it.

    ``folder`` is that of ``path``, held open, where nobody shall be able to lead the path elsewhere. Two machines that
    share a folder must not give the same path, since locks do not always reach across.

    Raises:
        DiskFull, DiskFailed: the file cannot be made.
    """
    try:
        if not disk.locks_hold(path, folder):
            return unshared(path, size, sha256, folder)
        for name in (path, *(path.with_stem(f"{path.stem}.{number}") for number in range(2, _NAMES))):
            if (descriptor := disk.locked_alone(name, folder)) is not None:
                return Partial(Name(name, folder), descriptor, _journal(name, size, sha256, folder))
        return unshared(path, size, sha256, folder)
    except OSError as failure:
        raise disk_failure(path, failure) from failure


def unshared(path: Path, size: int, sha256: str, folder: int | None = None) -> Partial:
    """A partial file under a name that nobody else can know, for folders whose locks keep nobody out."""
    name = path.with_stem(f"{path.stem}.{uuid4().hex}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(disk.named(name, folder), flags, 0o666, dir_fd=folder)
    return Partial(Name(name, folder), descriptor, _journal(name, size, sha256, folder), lasts=False)


def _journal(name: Path, size: int, sha256: str, folder: int | None = None) -> Journal:
    return Journal(name.with_name(f"{name.name}.journal"), size, sha256, folder)


def sweep(folder: Path, *, older_than_seconds: float) -> list[Path]:
    """Delete the partial files directly in ``folder`` that no process has and nobody has touched for so long."""
    swept: list[Path] = []
    for path in folder.glob("*.part"):
        try:
            if time.time() - path.stat().st_mtime < older_than_seconds:
                continue
            if (descriptor := disk.locked(path)) is None:
                continue
        except OSError:
            continue  # gone meanwhile, or not ours to touch
        _journal(path, 0, "").remove()
        path.unlink(missing_ok=True)
        os.close(descriptor)
        swept.append(path)
    return swept
