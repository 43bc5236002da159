"""Writers of objects: the base of all writers, and the writer of whole files."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from modelyard.server.storage.blob_store import ChecksumMismatch, KeyTaken, StoreUnavailable
from modelyard.server.storage.local.folder import ObjectMetadata, StorageFolder
from modelyard.server.storage.local.fsync import start_writeback, translate_disk_errors, write_all
from modelyard.server.storage.local.incremental_hash import HashThreads

_WRITEBACK_STEP = 32 << 20
_HASH_WAIT_SECONDS = 3600.0


class ObjectWriter(ABC):
    """A writer of ``size`` bytes from ``offset`` on, with a file descriptor of its own.

    The kernel reports a lost page once per descriptor: two writers sharing one could miss each other's error. May be
    called from any thread, one call after the other; only ``discard`` may be called at any time.
    """

    def __init__(self, folder: StorageFolder, path: Path, offset: int, size: int) -> None:
        self._folder = folder
        self._descriptor = os.open(path, os.O_WRONLY)
        self._offset = offset
        self._size = size
        self._written = 0
        self._flushed = 0
        self._descriptor_lock = threading.Lock()

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append the chunks, at most 1,024 of them.

        Progress is reported to the upload or the hash.

        Raises:
            StoreFull, StoreUnavailable: call ``discard`` then.
            ValueError: more bytes than declared.
        """
        length = sum(map(len, chunks))
        if self._written + length > self._size:
            raise ValueError("More bytes than declared.")
        self._folder.require_free_space(length)
        with self._descriptor_lock, translate_disk_errors():
            self._write(chunks, length)
            # Inside the lock: no progress may be reported after ``discard``.
            self._report_progress(self._written)

    @abstractmethod
    def commit(self) -> str:
        """Make the bytes durable and visible; return their etag without quotes. On any error they are discarded."""

    @abstractmethod
    def discard(self) -> None:
        """Discard the bytes. Idempotent, without effect after commit, and safe during a running write."""

    @abstractmethod
    def _report_progress(self, written: int) -> None:
        """Note that the file holds ``written`` bytes of this writer, not durably yet. The caller holds the lock."""

    def _write(self, chunks: Sequence[bytes], length: int) -> None:
        """Write the chunks at the current position; every 32 MiB, start the write-back. The caller holds the lock.

        Raises:
            StoreUnavailable: the writer was discarded.
        """
        if self._descriptor < 0:
            raise StoreUnavailable("This write was discarded.")
        position = self._offset + self._written
        count = os.pwritev(self._descriptor, chunks, position)
        if count < length:
            write_all(self._descriptor, b"".join(chunks)[count:], position + count)
        self._written += length
        if self._written - self._flushed >= _WRITEBACK_STEP:
            start_writeback(self._descriptor, self._offset + self._flushed, self._written - self._flushed)
            self._flushed = self._written

    def _sync_and_close(self, sync: Callable[[int], None]) -> None:
        """Flush the file with ``sync`` and close it.

        Raises:
            ValueError: fewer bytes than declared were written.
            StoreFull, StoreUnavailable
        """
        if self._written != self._size:
            raise ValueError("Fewer bytes than declared.")
        with self._descriptor_lock, translate_disk_errors():
            if self._descriptor < 0:
                raise StoreUnavailable("This write was discarded.")
            sync(self._descriptor)
        self._close()

    def _close(self) -> None:
        """Close the file; waits for a running write. Idempotent."""
        with self._descriptor_lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


class WholeObjectWriter(ObjectWriter):
    """The writer of a whole file, which is written to a staging folder and published under its key."""

    def __init__(
        self, folder: StorageFolder, metadata: ObjectMetadata, sha256: str | None, hash_threads: HashThreads
    ) -> None:
        self._metadata = metadata
        self._sha256 = sha256
        self._hash_threads = hash_threads
        self._staging = folder.create_staging_folder(metadata)
        self._incremental_hash = hash_threads.start_hash(self._staging / "bytes", metadata.size, max(metadata.size, 1))
        super().__init__(folder, self._staging / "bytes", 0, metadata.size)

    def commit(self) -> str:
        """Make the file durable and publish it; return its SHA-256 as the etag. See ``ObjectWriter.commit``.

        After a failure the file is deleted.

        Raises:
            ChecksumMismatch: the bytes do not have the signed SHA-256.
            KeyTaken: another writer published this key first.
            StoreFull, StoreUnavailable
        """
        try:
            self._sync_and_close(os.fsync)
            sha256 = self._verify_sha256()
            if not self._folder.publish(self._staging, self._metadata.key, self._incremental_hash):
                raise KeyTaken("The key has an object already.")
        except BaseException:
            self.discard()
            raise
        self._hash_threads.set_hash(self._metadata.key, self._incremental_hash)
        return sha256

    def discard(self) -> None:
        """Close the file after a running write, and delete the staging folder unless it was published. Idempotent."""
        self._close()
        if self._incremental_hash.path.parent == self._staging:
            self._incremental_hash.stop()
            self._folder.delete_folder(self._staging)

    def _report_progress(self, written: int) -> None:
        """Let the hash proceed to ``written`` bytes."""
        self._incremental_hash.advance(written)

    def _verify_sha256(self) -> str:
        """Wait for the hash, for up to an hour, and return the SHA-256.

        Raises:
            ChecksumMismatch: it differs from the signed one.
            StoreUnavailable: the bytes could not be read back in time.
        """
        digest = self._incremental_hash.wait_for_digest(_HASH_WAIT_SECONDS)
        if digest is None:
            raise StoreUnavailable("The bytes cannot be read back.")
        if self._sha256 is not None and self._sha256 != digest.sha256:
            raise ChecksumMismatch(
                "The bytes are not those that were signed.", expected=self._sha256, found=digest.sha256
            )
        return digest.sha256
