"""How many files and bytes of a transfer are done, from its events."""

from collections.abc import Mapping
from pathlib import Path

from modelyard.cli.terminal.formatting import escape_unprintable
from modelyard.client.transfers.push_results import PushEvent
from modelyard.transfer.progress import Received, Sent

# What the row for all files begins with.
TOTAL = "total"


class Totals:
    """The files of one command: which have ended, and the bytes that were sent or received.

    A file that ends without a transfer, because its content was there, does not count in the bytes.
    """

    def __init__(self) -> None:
        self._sizes: dict[Path, int] = {}
        self._done: dict[Path, tuple[int, int]] = {}
        self._ended: set[Path] = set()
        # Kept up to date, since they are drawn with each event of thousands of files. The total is that of the files
        # that were transferred, or are to be.
        self.bytes_done = self.bytes_total = 0

    def expect(self, sizes: Mapping[Path, int]) -> None:
        """Add files that will be transferred, with their sizes in bytes."""
        for path, size in sizes.items():
            self.bytes_total -= self._count_waiting(path)
            self._sizes[path] = size
            self.bytes_total += self._count_waiting(path)

    def add(self, event: PushEvent) -> None:
        """Count the bytes of an event; events without a transfer are ignored."""
        if isinstance(event, Sent | Received):
            done, total = self._done.get(event.path, (0, self._count_waiting(event.path)))
            self.bytes_done += event.done - done
            self.bytes_total += event.total - total
            self._done[event.path] = (event.done, event.total)

    def end(self, path: Path) -> None:
        """Count a file as ended, whether or not it succeeded, and its waiting bytes no more; may be repeated."""
        if path in self._sizes:
            self.bytes_total -= self._count_waiting(path)
            self._ended.add(path)

    def _count_waiting(self, path: Path) -> int:
        """Return the bytes of an expected file of which nothing was transferred and that has not ended, else 0."""
        return 0 if path in self._ended or path in self._done else self._sizes.get(path, 0)

    @property
    def files(self) -> int:
        return len(self._sizes)

    @property
    def files_ended(self) -> int:
        return len(self._ended)

    def describe_stop(self) -> str:
        """Return what is done, for a command that is interrupted; empty if nothing was transferred."""
        parts = [f"{self.files_ended} of {self.files} files are done"] if self.files > 1 else []
        parts += [
            f"{escape_unprintable(path.name)} stopped at {100 * done // total} %"
            for path, (done, total) in self._done.items()
            if path not in self._ended and done < total
        ]
        return ", ".join(parts)
