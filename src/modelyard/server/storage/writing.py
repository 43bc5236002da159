"""Bytes on their way into a file: a whole file, and what whole files and parts have in common."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from modelyard.server.storage.blob_store import KeyTaken, StoreUnavailable, WrongChecksum
from modelyard.server.storage.durable import disk_errors, start_writeback, write_all
from modelyard.server.storage.folder import About, Folder
from modelyard.server.storage.following import Hashers

_WRITEBACK_STEP = 32 << 20
_HASH_WAIT_SECONDS = 3600.0


class Writing(ABC):
    """One writer of ``size`` bytes from ``offset`` on, with a descriptor of its own.

    Its own, since the kernel reports a lost page once to each descriptor: two writers on one could take each other's
    error away. Called from any thread, one call after the other; only ``discard`` may come at any moment.
    """

    def __init__(self, path: Path, offset: int, size: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY)
        self._offset = offset
        self._size = size
        self._written = 0
        self._flushed = 0
        self._using = threading.Lock()

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append the chunks, at most 1,024 of them.

        Raises:
            StoreFull, StoreUnavailable: then ``discard``.
        """
        length = sum(map(len, chunks))
        if self._written + length > self._size:
            raise ValueError("More bytes than declared.")
        with self._using, disk_errors():
            self._write(chunks, length)
            # Still inside: after ``discard`` nobody may hear of progress any more.
            self._progress(self._written)

    @abstractmethod
    def commit(self) -> str:
        """Make the bytes durable and known, and give their etag without quotes. On any error they are discarded."""

    @abstractmethod
    def discard(self) -> None:
        """Forget the bytes. May be called twice, after commit (then it does nothing), and while a write is running."""

    @abstractmethod
    def _progress(self, written: int) -> None:
        """So many bytes of this writer are in the file."""

    def _write(self, chunks: Sequence[bytes], length: int) -> None:
        if self._descriptor < 0:
            raise StoreUnavailable("This write was given up.")
        at = self._offset + self._written
        count = os.pwritev(self._descriptor, chunks, at)
        if count < length:
            write_all(self._descriptor, b"".join(chunks)[count:], at + count)
        self._written += length
        if self._written - self._flushed >= _WRITEBACK_STEP:
            start_writeback(self._descriptor, self._offset + self._flushed, self._written - self._flushed)
            self._flushed = self._written

    def _sync_and_close(self, sync: Callable[[int], None]) -> None:
        if self._written != self._size:
            raise ValueError("Fewer bytes than declared.")
        with self._using, disk_errors():
            if self._descriptor < 0:
                raise StoreUnavailable("This write was given up.")
            sync(self._descriptor)
        self._close()

    def _close(self) -> None:
        with self._using:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


class WholeWriting(Writing):
    """A whole file, written in a private folder and published under its key."""

    def __init__(self, folder: Folder, about: About, sha256: str | None, hashers: Hashers) -> None:
        self._folder = folder
        self._about = about
        self._sha256 = sha256
        self._hashers = hashers
        self._private = folder.new_private(about)
        self._following = hashers.follow(self._private / "bytes", about.size, max(about.size, 1))
        super().__init__(self._private / "bytes", 0, about.size)

    def commit(self) -> str:
        """See ``Writing``; the etag is the SHA-256.

        Raises:
            WrongChecksum: the bytes are not those that were signed.
            KeyTaken: somebody was faster.
            StoreFull, StoreUnavailable
        """
        try:
            self._sync_and_close(os.fsync)
            sha256 = self._checked_sha256()
            if not self._folder.publish(self._private, self._about.key, self._following):
                raise KeyTaken("The key is written already.")
        except BaseException:
            self.discard()
            raise
        self._hashers.remember(self._about.key, self._following)
        return sha256

    def discard(self) -> None:
        self._close()
        if self._following.path.parent == self._private:
            self._following.stop()
            self._folder.throw_away(self._private)

    def _progress(self, written: int) -> None:
        self._following.advance(written)

    def _checked_sha256(self) -> str:
        digest = self._following.wait(_HASH_WAIT_SECONDS)
        if digest is None:
            raise StoreUnavailable("The bytes cannot be read back.")
        if self._sha256 is not None and self._sha256 != digest.sha256:
            raise WrongChecksum("The bytes are not those that were signed.", expected=self._sha256, found=digest.sha256)
        return digest.sha256
