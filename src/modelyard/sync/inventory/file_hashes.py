"""``FileHashes``, which gets the hashes of the files of one scan, from the index or by reading; ``ScanOptions``."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelyard.sync.inventory.deadlines import FilesystemNotResponding, StallDeadline
from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.listing import FolderEntry
from modelyard.sync.inventory.safe_open import FileUnreadable, hash_file


@dataclass(frozen=True)
class ScanOptions:
    """Progress callback, stop signal and stall deadline of a scan.

    ``on_hash_progress(path, done_bytes, size)`` is called while a file is read; setting ``stopped`` ends the scan.
    """

    on_hash_progress: Callable[[Path, int, int], None] | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    deadline: StallDeadline = field(default_factory=StallDeadline)


class FileHashes:
    """Hashes the files of one scan, each inode once."""

    def __init__(self, index: HashIndex, options: ScanOptions) -> None:
        self._index = index
        self._options = options
        self._by_inode: dict[tuple[int, int], str] = {}

    def add_hash(self, file: FolderEntry) -> FolderEntry:
        """Return the entry with its hash, from the index or by reading the file and adding its hash to the index.

        A file that cannot be read gets the kind ``unreadable`` and a reason. Entries other than files and links to
        files are returned unchanged.
        """
        is_linked = file.kind == "link" and file.link is not None
        if file.kind != "file" and not is_linked:
            return file
        sha256 = self._index.get_hash(file.path, file.identity) or self._by_inode.get((file.device, file.inode))
        if sha256 is None:
            try:
                sha256 = self._hash_file(file, through_links=is_linked)
            except FileUnreadable as failure:
                return replace(file, kind="unreadable", reason=str(failure))
            except FilesystemNotResponding:
                return replace(file, kind="unreadable", reason="its file system does not respond")
            self._index.add_hash(file.path, file.identity, sha256)
        self._by_inode[file.device, file.inode] = sha256
        return replace(file, sha256=sha256)

    def _hash_file(self, file: FolderEntry, *, through_links: bool) -> str:
        """Return the SHA-256 of a file, read within the stall deadline, and report the progress."""
        done = 0

        def hash_file_bytes(on_progress: Callable[[], None]) -> str:
            """Hash the file in the thread of the deadline."""

            def on_chunk(count: int) -> None:
                """Report progress to the deadline and to the caller of the scan."""
                nonlocal done
                done += count
                on_progress()
                if self._options.on_hash_progress is not None:
                    self._options.on_hash_progress(file.path, done, file.size)

            return hash_file(file.path, file.identity, on_chunk, self._options.stopped, through_links=through_links)

        return self._options.deadline.run(file.path, hash_file_bytes)
