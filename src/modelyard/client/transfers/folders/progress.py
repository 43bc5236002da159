"""The progress of the files of a folder as that of the folder: one row of a display, not thousands."""

from pathlib import Path

from modelyard.transfer.progress import Hashed, OnProgress, ProgressEvent, Received, Resumed, Sent, Verified


class FolderProgress:
    """Adds up the events of files, and reports them with the path of the folder.

    ``total_size``: bytes of all files; ``skip`` reduces those that are transferred.
    """

    def __init__(self, folder: Path, total_size: int, report: OnProgress) -> None:
        self._folder, self._total_size, self._report = folder, total_size, report
        self._skipped = 0
        self._done: dict[tuple[type, Path], int] = {}
        self._sums: dict[type, int] = {}

    def skip(self, size: int) -> None:
        """Subtract bytes that are not transferred from the totals of the events that follow."""
        self._skipped += size

    def add(self, event: ProgressEvent) -> None:
        """Report an event of a file as one of the folder; that a file is resumed only shows in the bytes done."""
        match event:
            case Hashed() | Sent() | Received():
                kind = type(event)
                before = self._done.get((kind, event.path), 0)
                self._done[kind, event.path] = event.done
                done = self._sums[kind] = self._sums.get(kind, 0) + event.done - before
                total = self._total_size - (0 if kind is Hashed else self._skipped)
                self._report(kind(self._folder, done, max(done, total)))
            case Verified() | Resumed():
                return
            case _:
                self._report(event)
