r"""Checkpoint files: which bytes of a partial file are on disk, so that a killed download can be resumed.

Lines of JSON. The first identifies the desired content; each later one replaces those before it:

    {"version": 1, "size": 6800000000, "sha256": "a1b2…"}
    {"etag": "\"a1b2…\"", "spans": [[0, 67108864], [134217728, 150000000]]}

The file is created with the first state. A line is written after the bytes that it lists are on disk. A lost or
truncated line therefore only causes bytes to be downloaded again; it never causes wrong content.
"""

import json
import os
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from modelyard.transfer import filesystem
from modelyard.transfer.byte_ranges import ByteRanges
from modelyard.transfer.portable.files import open_unfollowed


class CheckpointState(NamedTuple):
    """The byte ranges that are on disk, and the ETag of the object that they came from."""

    ranges: ByteRanges
    etag: str | None


class Checkpoint:
    """The checkpoint file of one partial file. Blocking; methods raise ``OSError`` unchanged."""

    def __init__(self, path: Path, size: int, sha256: str, folder: int | None = None) -> None:
        self.path = path
        self._folder = folder
        self._size = size
        self._header = {"version": 1, "size": size, "sha256": sha256}

    def read(self) -> CheckpointState:
        """Return the state in the last valid line; empty if there is none, no file, or one for other content."""
        state = CheckpointState(ByteRanges(), None)
        try:
            with self._open("rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return state
        if _parse_line(lines[0]) != self._header:
            return state
        for line in lines[1:-1]:  # text after the last line break is an incomplete write
            state = self._parse_state(_parse_line(line)) or state
        return state

    def reset(self) -> None:
        """Truncate the file and sync it, unless it does not exist; then the partial file may be overwritten."""
        if filesystem.exists(self.path, self._folder):
            with self._open("wb") as file:
                os.fsync(file.fileno())

    def append(self, state: CheckpointState) -> None:
        """Append a state whose bytes the caller has synced. The line is not: losing it is harmless (see the module)."""
        with self._open("ab") as file:
            if not file.tell():
                file.write(_encode_line(self._header))
            file.write(_encode_line({"etag": state.etag, "spans": list(state.ranges)}))

    def remove(self) -> None:
        """Delete the checkpoint file. Idempotent."""
        filesystem.remove(self.path, self._folder)

    def _open(self, mode: Literal["rb", "wb", "ab"]) -> BinaryIO:
        """Open the file, relative to the folder's descriptor if there is one; symbolic links are not followed."""

        def opener(name: str, flags: int) -> int:
            return open_unfollowed(name, flags, self._folder)

        return open(filesystem.get_openat_name(self.path, self._folder), mode, opener=opener)

    def _parse_state(self, line: object) -> CheckpointState | None:
        """Return the state in a parsed line; None if a range in it is invalid or beyond the size of the content."""
        match line:
            case {"etag": str() | None as etag, "spans": list() as spans}:
                pairs = [(pair[0], pair[1]) for pair in spans if self._is_range(pair)]
                return CheckpointState(ByteRanges(pairs), etag) if len(pairs) == len(spans) else None
            case _:
                return None

    def _is_range(self, pair: object) -> bool:
        """Return whether a JSON value is a pair of offsets within the content, the first one smaller."""
        match pair:
            case [int() as start, int() as end]:
                return 0 <= start < end <= self._size
            case _:
                return False


def _encode_line(entry: dict[str, object]) -> bytes:
    """Encode an entry as a line of JSON."""
    return json.dumps(entry).encode() + b"\n"


def _parse_line(line: bytes) -> object:
    """Parse a line of JSON; None if it is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
