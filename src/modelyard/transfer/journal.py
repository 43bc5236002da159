r"""What a partial file holds, written beside it so that a killed download goes on where it stopped.

Lines of JSON. The first says which bytes are wanted; each later one replaces those before it:

    {"version": 1, "size": 6800000000, "sha256": "a1b2…"}
    {"etag": "\"a1b2…\"", "spans": [[0, 67108864], [134217728, 150000000]]}

A line is written after the bytes that it names are on disk, so a lost or torn line costs only bytes fetched again,
never wrong ones.
"""

import json
import os
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from modelyard.transfer import disk
from modelyard.transfer.spans import Spans


class Kept(NamedTuple):
    """The spans that are on disk, and the ETag of the object that they came from."""

    spans: Spans
    etag: str | None


class Journal:
    """The journal of one partial file; blocking; raises plain ``OSError``."""

    def __init__(self, path: Path, size: int, sha256: str, folder: int | None = None) -> None:
        self.path = path
        self._folder = folder
        self._size = size
        self._header = {"version": 1, "size": size, "sha256": sha256}

    def read(self) -> Kept:
        """What the last whole line says; nothing if there is no journal or it is about other bytes."""
        kept = Kept(Spans(), None)
        try:
            with self._opened("rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return kept
        if _parsed(lines[0]) != self._header:
            return kept
        for line in lines[1:-1]:  # what follows the last line break was torn off
            kept = self._kept(_parsed(line)) or kept
        return kept

    def begin(self) -> None:
        """Forget everything, durably: afterwards the partial file may be overwritten."""
        with self._opened("wb") as file:
            file.write(_line(self._header))
            file.flush()
            os.fsync(file.fileno())

    def append(self, kept: Kept) -> None:
        """Note what is on disk now. Not synced: see above."""
        with self._opened("ab") as file:
            file.write(_line({"etag": kept.etag, "spans": list(kept.spans)}))

    def remove(self) -> None:
        """Delete the journal; may be called twice."""
        disk.remove(self.path, self._folder)

    def _opened(self, mode: Literal["rb", "wb", "ab"]) -> BinaryIO:
        def opener(name: str, flags: int) -> int:
            return os.open(name, flags | os.O_NOFOLLOW, 0o666, dir_fd=self._folder)

        return open(disk.named(self.path, self._folder), mode, opener=opener)

    def _kept(self, line: object) -> Kept | None:
        match line:
            case {"etag": str() | None as etag, "spans": list() as spans}:
                pairs = [(pair[0], pair[1]) for pair in spans if self._is_span(pair)]
                return Kept(Spans(pairs), etag) if len(pairs) == len(spans) else None
            case _:
                return None

    def _is_span(self, pair: object) -> bool:
        match pair:
            case [int() as start, int() as end]:
                return 0 <= start < end <= self._size
            case _:
                return False


def _line(entry: dict[str, object]) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
