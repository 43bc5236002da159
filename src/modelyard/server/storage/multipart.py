"""A multipart upload of the local store: parts land in place in one file, and finishing copies nothing.

Three things hold at every instant, also when the process is killed:
  - a listed part is on the disk, whole: it is unlisted durably before its first byte is written again;
  - a part has one writer;
  - nothing is written any more once the upload is published or aborted.
"""

import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from modelyard.server.storage.blob_store import (
    KeyTaken,
    NamedPart,
    NoSuchUpload,
    PartBusy,
    PartsWrong,
    StoredPart,
    StoreUnavailable,
    part_sizes,
)
from modelyard.server.storage.durable import disk_errors
from modelyard.server.storage.folder import About, Folder
from modelyard.server.storage.following import Hashers
from modelyard.server.storage.journal import JOURNAL, PartsJournal
from modelyard.server.storage.writing import Writing

_MOST_FACTS = 100


class LocalUpload:
    """One open upload in this process. Callable from any thread."""

    def __init__(self, folder: Folder, about: About, hashers: Hashers) -> None:
        self.about = about
        self._folder = folder
        self._path = folder.uploads / about.upload
        self._count, self._last_size = part_sizes(about.size, about.part_size)
        # Steps that touch the journal or the folder's name come one after the other; ``_lock`` is for memory only, so
        # that a writer never waits for another part's fsync.
        self._steps = threading.Lock()
        self._lock = threading.Lock()
        self._journal = PartsJournal(self._path / JOURNAL)
        with self._unless_gone(), disk_errors():
            self._listed = self._journal.load()
        self._writing: dict[int, int] = {}
        self._is_over = False
        self._hashers = hashers
        self._following = hashers.follow(self._path / "bytes", about.size, about.part_size)
        self._next = 1
        self._advance()

    def part_size(self, number: int) -> int:
        """How many bytes the part must have.

        Raises:
            ValueError: there is no such part.
        """
        if not 1 <= number <= self._count:
            raise ValueError(f"Part {number} is not one of 1 to {self._count}.")
        return self._last_size if number == self._count else self.about.part_size

    def parts(self) -> list[StoredPart]:
        """The listed parts, by number.

        Raises:
            NoSuchUpload: published or aborted meanwhile.
        """
        self._check_is_open()
        with self._lock:
            return [self._listed[number] for number in sorted(self._listed)]

    def write_part(self, number: int) -> "PartWriting":
        """Unlist a part and open it for writing.

        Raises:
            NoSuchUpload: published or aborted meanwhile.
            PartBusy: it has a writer.
            StoreFull, StoreUnavailable: then it stays listed, if it was.
        """
        with self._steps:
            before = self._claim(number)
            try:
                if before is not None:
                    with self._unless_gone():
                        self._journal.unlist(number)
            except BaseException:
                self._release(number, before)
                raise
            try:
                return self._open_part(number)
            except BaseException:
                self._release(number, None)
                raise

    def finish(self, parts: Sequence[NamedPart]) -> None:
        """Publish, if the named parts are exactly the listed ones and make the whole file.

        Raises:
            NoSuchUpload: published or aborted meanwhile.
            PartsWrong, KeyTaken, StoreUnavailable: it stays open.
        """
        with self._steps:
            self._check_is_open()
            self._check_parts(parts)
            with self._unless_gone():
                is_published = self._folder.publish(self._path, self.about.key, self._following)
            if not is_published:
                raise KeyTaken("Another upload was published under this key.")
            self._is_over = True
        self._hashers.remember(self.about.key, self._following)
        with suppress(OSError):
            (self._folder.object(self.about.key) / JOURNAL).unlink()

    def abort(self) -> None:
        """Throw everything away; writers that are still at work find out when they commit."""
        with self._steps:
            if not self._is_over:
                self._is_over = True
                self._following.stop()
                self._folder.throw_away(self._path)

    def wrote(self, number: int, written: int) -> None:
        """Note that the writer of a part has so many bytes in the file."""
        with self._lock:
            self._writing[number] = written
            if number == self._next:
                self._following.advance(self._offset(number) + written)

    def list_part(self, part: StoredPart) -> None:
        """List a part whose bytes are durable, and let its writer go."""
        with self._steps:
            self._check_is_open()
            with self._unless_gone():
                self._journal.list(part)
            self._release(part.number, part)

    def give_up(self, number: int) -> None:
        """Let the writer of a part go; its bytes are worth nothing."""
        self._release(number, None)

    def _claim(self, number: int) -> StoredPart | None:
        self._check_is_open()
        with self._lock:
            if number in self._writing:
                raise PartBusy(f"Part {number} is being written by another request.", part_number=number)
            self._writing[number] = 0
            before = self._listed.pop(number, None)
            self._next = min(self._next, number)
            self._following.rewind(self._offset(number))
            return before

    def _release(self, number: int, part: StoredPart | None) -> None:
        with self._lock:
            self._writing.pop(number, None)
            if part is None:
                self._following.rewind(self._offset(number))
            else:
                self._listed[number] = part
                self._advance()

    def _advance(self) -> None:
        while self._next in self._listed:
            self._next += 1
        reached = self._offset(self._next) + self._writing.get(self._next, 0)
        self._following.advance(min(reached, self.about.size))

    def _open_part(self, number: int) -> "PartWriting":
        with disk_errors():
            try:
                return PartWriting(self, self._path / "bytes", number)
            except FileNotFoundError:
                raise NoSuchUpload("The upload is gone.") from None

    def _offset(self, number: int) -> int:
        return (number - 1) * self.about.part_size

    def _check_is_open(self) -> None:
        if self._is_over or self._is_gone:
            raise NoSuchUpload("The upload is finished or was aborted.")

    @property
    def _is_gone(self) -> bool:
        return not (self._path / JOURNAL).exists()

    @contextmanager
    def _unless_gone(self) -> Iterator[None]:
        """Say of a failure of the disk what it means when another process, the clean-up, has aborted the upload.

        Raises:
            NoSuchUpload: it has.
        """
        try:
            yield
        except StoreUnavailable:
            if self._is_gone:
                raise NoSuchUpload("The upload was aborted.") from None
            raise

    def _check_parts(self, named: Sequence[NamedPart]) -> None:
        numbers = [part.number for part in named]
        with self._lock:
            held = dict(self._listed)
        missing = sorted(set(range(1, self._count + 1)) - (held.keys() & set(numbers)))
        unexpected = sorted(set(numbers) - set(range(1, self._count + 1)))
        stale = [
            part.number for part in named if part.number in held and held[part.number].etag != part.etag.strip('"')
        ]
        if missing or unexpected or stale or numbers != sorted(set(numbers)):
            raise PartsWrong(
                f"The upload needs its parts 1 to {self._count}, each once and in this order, with their last etags.",
                missing=missing[:_MOST_FACTS],
                stale=stale[:_MOST_FACTS],
                unexpected=unexpected[:_MOST_FACTS],
            )


class PartWriting(Writing):
    """The one writer of one part."""

    def __init__(self, upload: LocalUpload, path: Path, number: int) -> None:
        super().__init__(path, (number - 1) * upload.about.part_size, upload.part_size(number))
        self._upload = upload
        self._number = number
        self._is_released = False
        self._releasing = threading.Lock()

    def commit(self) -> str:
        """See ``Writing``; the etag is new for each writing, so that a part sent again must be named again.

        Raises:
            NoSuchUpload: aborted meanwhile.
            StoreFull, StoreUnavailable
        """
        part = StoredPart(self._number, secrets.token_hex(16), self._size)
        try:
            self._sync_and_close(os.fdatasync)
            with self._releasing:
                self._upload.list_part(part)
                self._is_released = True
        except BaseException:
            self.discard()
            raise
        return part.etag

    def discard(self) -> None:
        # Closing first: it waits for a write that is running, so that the next writer of this part is alone.
        self._close()
        with self._releasing:
            if not self._is_released:
                self._is_released = True
                self._upload.give_up(self._number)

    def _progress(self, written: int) -> None:
        self._upload.wrote(self._number, written)
