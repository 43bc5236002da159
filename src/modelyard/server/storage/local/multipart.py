"""A multipart upload of the local store: parts are written in place into one file, and finishing copies nothing.

Three invariants hold at every moment, also when the process is killed:
  - a listed part is completely on the disk: it is removed from the list durably before it is written again;
  - a part has one writer;
  - nothing is written once the upload is published or aborted.
"""

import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from modelyard.server.storage.blob_store import (
    KeyTaken,
    NamedPart,
    NoSuchUpload,
    PartBusy,
    PartsWrong,
    StoredPart,
    StoreUnavailable,
    split_into_parts,
)
from modelyard.server.storage.local.folder import ObjectMetadata, StorageFolder, replace_metadata
from modelyard.server.storage.local.fsync import translate_disk_errors
from modelyard.server.storage.local.incremental_hash import HashThreads
from modelyard.server.storage.local.object_writer import ObjectWriter
from modelyard.server.storage.local.parts_journal import JOURNAL, PartsJournal

_MAX_FACTS = 100
_BLOCK = 512  # the unit of st_blocks
# A client that sends nothing for longer between two parts is taken as stopped.
_PAUSE_SECONDS = 60.0


class LocalUpload:
    """One open upload in this process. Thread-safe."""

    def __init__(self, folder: StorageFolder, metadata: ObjectMetadata, hash_threads: HashThreads) -> None:
        self.metadata = metadata
        self._folder = folder
        self._path = folder.uploads / metadata.upload
        self._count, self._last_size = split_into_parts(metadata.size, metadata.part_size)
        # ``_steps`` serialises changes of the journal and of the folder's name. ``_lock`` protects memory only, so that
        # a writer never waits for another part's fsync.
        self._steps = threading.Lock()
        self._lock = threading.Lock()
        self._journal = PartsJournal(self._path / JOURNAL)
        with self._unless_gone(), translate_disk_errors():
            self._parts = self._journal.load()
        self._written_bytes: dict[int, int] = {}
        self._received_at = -_PAUSE_SECONDS
        self._is_closed = False
        self._hash_threads = hash_threads
        self._incremental_hash = hash_threads.start_hash(self._path / "bytes", metadata.size, metadata.part_size)
        self._first_missing = 1
        self._advance_frontier()

    def part_size(self, number: int) -> int:
        """Return the required size of a part in bytes.

        Raises:
            ValueError: the upload has no part of this number.
        """
        if not 1 <= number <= self._count:
            raise ValueError(f"Part {number} is not one of 1 to {self._count}.")
        return self._last_size if number == self._count else self.metadata.part_size

    def resize(self, size: int) -> None:
        """Set the size of the file durably; see ``BlobStore.resize_multipart``.

        Raises:
            ValueError: the size allows too many parts, or a listed part is beyond it.
            NoSuchUpload, StoreFull, StoreUnavailable: the size stays.
        """
        count, last_size = split_into_parts(size, self.metadata.part_size)
        with self._steps:
            self._check_is_open()
            with self._lock:
                if any(self._offset(part.number) + part.size > size for part in self._parts.values()):
                    raise ValueError(f"A stored part is beyond {size} bytes.")
            resized = replace(self.metadata, size=size)
            with self._unless_gone(), translate_disk_errors():
                replace_metadata(self._path, resized)
            with self._lock:
                self.metadata, self._count, self._last_size = resized, count, last_size
                self._incremental_hash.resize(size)

    def list_parts(self) -> list[StoredPart]:
        """Return the listed parts, by number.

        Raises:
            NoSuchUpload: it was published or aborted.
        """
        self._check_is_open()
        with self._lock:
            return [self._parts[number] for number in sorted(self._parts)]

    @property
    def is_receiving(self) -> bool:
        """Return whether a part has a writer in this process, or had one within the last minute."""
        return bool(self._written_bytes) or time.monotonic() < self._received_at + _PAUSE_SECONDS

    def count_missing_bytes(self) -> int:
        """Return how many bytes of the file are not allocated on the disk yet; 0 once it is published or aborted."""
        with translate_disk_errors(), suppress(FileNotFoundError):
            taken = (self._path / "bytes").stat().st_blocks * _BLOCK
            return max(0, self.metadata.size - taken)
        return 0

    def open_part_writer(self, number: int) -> "PartWriter":
        """Take a part off the list durably, and open it for writing; ``number`` must be one of this upload.

        Raises:
            NoSuchUpload: the upload was published or aborted.
            PartBusy: the part has a writer.
            StoreFull, StoreUnavailable: nothing was opened. The part stays listed unless only opening the file failed.
        """
        with self._steps:
            before = self._claim_part(number)
            try:
                if before is not None:
                    with self._unless_gone():
                        self._journal.remove_part(number)
            except BaseException:
                self._release_claim(number, before)
                raise
            try:
                return self._open_part(number)
            except BaseException:
                self._release_claim(number, None)
                raise

    def finish(self, parts: Sequence[NamedPart]) -> None:
        """Publish the file under its key if the named parts are exactly the listed ones and cover the complete file.

        The journal of parts is deleted, and the hash goes on with the published file.

        Raises:
            NoSuchUpload: it was published or aborted.
            PartsWrong, KeyTaken, StoreUnavailable: the upload stays open.
        """
        with self._steps:
            self._check_is_open()
            self._check_parts(parts)
            with self._unless_gone():
                is_published = self._folder.publish(self._path, self.metadata.key, self._incremental_hash)
            if not is_published:
                raise KeyTaken("Another upload was published under this key.")
            self._is_closed = True
        self._hash_threads.set_hash(self.metadata.key, self._incremental_hash)
        with suppress(OSError):
            (self._folder.get_object_folder(self.metadata.key) / JOURNAL).unlink()

    def abort(self) -> None:
        """Delete the upload with its bytes, unless it was published. Idempotent.

        Active writers get an error when they commit.
        """
        with self._steps:
            if not self._is_closed:
                self._is_closed = True
                self._incremental_hash.stop()
                self._folder.delete_folder(self._path)

    def record_progress(self, number: int, written: int) -> None:
        """Record how many bytes the writer of a part has written to the file."""
        with self._lock:
            self._written_bytes[number] = written
            if number == self._first_missing:
                self._incremental_hash.advance(self._offset(number) + written)

    def add_part(self, part: StoredPart) -> None:
        """List a part durably whose bytes are durable, and release its writer.

        Raises:
            NoSuchUpload, StoreFull, StoreUnavailable: the writer still holds the part.
        """
        with self._steps:
            self._check_is_open()
            with self._unless_gone():
                self._journal.add_part(part)
            self._release_claim(part.number, part)

    def release_part(self, number: int) -> None:
        """Release the writer of a part that stays unlisted; the file keeps its bytes until they are written again."""
        self._release_claim(number, None)

    def _claim_part(self, number: int) -> StoredPart | None:
        """Remove a part from the list in memory and reserve it for one writer; return the part if it was listed.

        Raises:
            NoSuchUpload: the upload was published or aborted.
            PartBusy: the part has a writer.
        """
        self._check_is_open()
        with self._lock:
            if number in self._written_bytes:
                raise PartBusy(f"Part {number} is being written by another request.", part_number=number)
            self._written_bytes[number] = 0
            before = self._parts.pop(number, None)
            self._first_missing = min(self._first_missing, number)
            self._incremental_hash.rewind(self._offset(number))
            return before

    def _release_claim(self, number: int, part: StoredPart | None) -> None:
        """End the reservation of a part, and list ``part`` in memory unless it is None."""
        with self._lock:
            self._written_bytes.pop(number, None)
            self._received_at = time.monotonic()
            if part is None:
                self._incremental_hash.rewind(self._offset(number))
            else:
                self._parts[number] = part
                self._advance_frontier()

    def _advance_frontier(self) -> None:
        """Let the incremental hash proceed to the first byte that is missing. The caller holds ``_lock``."""
        while self._first_missing in self._parts:
            self._first_missing += 1
        reached = self._offset(self._first_missing) + self._written_bytes.get(self._first_missing, 0)
        self._incremental_hash.advance(min(reached, self.metadata.size))

    def _open_part(self, number: int) -> "PartWriter":
        """Open the writer of a reserved part.

        Raises:
            NoSuchUpload: the upload's file was deleted.
            StoreFull, StoreUnavailable
        """
        with translate_disk_errors():
            try:
                return PartWriter(self, self._folder, number)
            except FileNotFoundError:
                raise NoSuchUpload("The upload is gone.") from None

    def _offset(self, number: int) -> int:
        """Return the position of a part in the file."""
        return (number - 1) * self.metadata.part_size

    def _check_is_open(self) -> None:
        """Check that the upload is open.

        Raises:
            NoSuchUpload: it was published or aborted.
        """
        if self._is_closed or self._is_gone:
            raise NoSuchUpload("The upload is finished or was aborted.")

    @property
    def _is_gone(self) -> bool:
        """Return whether the upload's folder has no journal, as after an abort by another process."""
        return not (self._path / JOURNAL).exists()

    @contextmanager
    def _unless_gone(self) -> Iterator[None]:
        """Translate ``StoreUnavailable`` if another process, the garbage collection, has aborted the upload.

        Raises:
            NoSuchUpload: the upload was aborted.
        """
        try:
            yield
        except StoreUnavailable:
            if self._is_gone:
                raise NoSuchUpload("The upload was aborted.") from None
            raise

    def _check_parts(self, named: Sequence[NamedPart]) -> None:
        """Check that the client names all parts once, in order, with the latest etags.

        Raises:
            PartsWrong: it does not; the facts have the numbers of missing, stale and unexpected parts.
        """
        numbers = [part.number for part in named]
        with self._lock:
            stored = dict(self._parts)
        missing = sorted(set(range(1, self._count + 1)) - (stored.keys() & set(numbers)))
        unexpected = sorted(set(numbers) - set(range(1, self._count + 1)))
        stale = [
            part.number for part in named if part.number in stored and stored[part.number].etag != part.etag.strip('"')
        ]
        if missing or unexpected or stale or numbers != sorted(set(numbers)):
            raise PartsWrong(
                f"The upload needs its parts 1 to {self._count}, each once and in this order, with their latest etags.",
                missing=missing[:_MAX_FACTS],
                stale=stale[:_MAX_FACTS],
                unexpected=unexpected[:_MAX_FACTS],
            )


class PartWriter(ObjectWriter):
    """The writer of one part; a part has one writer at a time."""

    def __init__(self, upload: LocalUpload, folder: StorageFolder, number: int) -> None:
        path = folder.uploads / upload.metadata.upload / "bytes"
        super().__init__(folder, path, (number - 1) * upload.metadata.part_size, upload.part_size(number))
        self._upload = upload
        self._number = number
        self._is_released = False
        self._releasing = threading.Lock()

    def commit(self) -> str:
        """Make the part durable and list it; see ``ObjectWriter.commit``.

        Each write gets a new etag, so that a part that was sent again must be named again.

        Raises:
            NoSuchUpload: the upload was aborted.
            StoreFull, StoreUnavailable
        """
        part = StoredPart(self._number, secrets.token_hex(16), self._size)
        try:
            self._sync_and_close(os.fdatasync)
            with self._releasing:
                self._upload.add_part(part)
                self._is_released = True
        except BaseException:
            self.discard()
            raise
        return part.etag

    def discard(self) -> None:
        """Close the file and release the part, which stays unlisted. Idempotent, without effect after ``commit``."""
        # Close first: this waits for a running write, so that the part's next writer is the only one.
        self._close()
        with self._releasing:
            if not self._is_released:
                self._is_released = True
                self._upload.release_part(self._number)

    def _report_progress(self, written: int) -> None:
        """Report progress to the upload; see ``LocalUpload.record_progress``."""
        self._upload.record_progress(self._number, written)
