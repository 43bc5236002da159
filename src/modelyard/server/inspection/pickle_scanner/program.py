"""The sandbox program: sets its limits, requests byte ranges, sends one verdict, and ends.

Protocol, all integers little-endian:
    in:   uint64 size of the file
    out:  b"R" uint64 start, uint64 length        in: uint32 length, the bytes        (any number of times)
    out:  b"V" uint64 0, uint64 length, JSON      once, and then the end

It imports all that it may need before it sets its limits, since no file can be opened after that.
"""

import codecs
import gc
import json
import os
import resource
import struct
import sys
from collections.abc import Callable

from .containers import scan
from .imports import list_imports
from .ranges import Ranges, Refused

MAX_NAME_CHARACTERS = 512 * 1024
# By which pickletools decodes a text. A codec is a module that is imported at its first use.
_CODEC = "raw_unicode_escape"
# The exit code of a process whose memory did not suffice.
OUT_OF_MEMORY = 3


def main(arguments: list[str], inspect: Callable[[Ranges], dict[str, object]] | None = None) -> None:
    """Inspect the file and send the verdict of ``inspect``, by default the pickle scanner's.

    ``arguments``: memory in bytes, seconds of processor time. An exception of ``inspect`` ends the process without a
    verdict; ``MemoryError`` with the exit code ``OUT_OF_MEMORY``.
    """
    codecs.lookup(_CODEC)
    _set_limits(int(arguments[0]), int(arguments[1]))
    # A short inspection creates no reference cycles, and searching for them would take half of its time.
    gc.disable()
    (size,) = struct.unpack("<Q", _receive(8))
    try:
        verdict = json.dumps((inspect or _scan)(Ranges(size, _request_range))).encode()
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    sys.stdout.buffer.write(struct.pack("<cQQ", b"V", 0, len(verdict)) + verdict)
    sys.stdout.buffer.flush()


def _set_limits(memory: int, seconds: int) -> None:
    """Limit memory and processor time of this process; no core dumps, no file writes, no new descriptors."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # Three pipes are open; no file and no socket can follow.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def _scan(ranges: Ranges) -> dict[str, object]:
    """Return the verdict: ``clean`` with the scan result, or a refusal."""
    try:
        result = scan(ranges)
    except Refused as refused:
        return {
            "clean": False,
            "reason": refused.reason,
            "found": refused.found,
            **list_imports(ranges),
        }
    return {
        "clean": True,
        "container": result.container,
        "dtypes": dict(result.dtypes),
        "elements": result.elements,
        "names": _truncate_names(result.names),
    }


def _truncate_names(names: list[str]) -> list[str]:
    """Return the first names, up to ``MAX_NAME_CHARACTERS`` in all with 4 for each name's quotes and comma."""
    characters_left = MAX_NAME_CHARACTERS
    kept = []
    for name in names:
        characters_left -= len(name) + 4
        if characters_left < 0:
            break
        kept.append(name)
    return kept


def _request_range(start: int, length: int) -> bytes:
    """Request a byte range of at most 1 MiB from the parent process; it may send fewer bytes."""
    sys.stdout.buffer.write(struct.pack("<cQQ", b"R", start, length))
    sys.stdout.buffer.flush()
    (size,) = struct.unpack("<L", _receive(4))
    return _receive(size)


def _receive(length: int) -> bytes:
    """Read exactly ``length`` bytes from the parent process; exit with code 1 if it has closed the pipe."""
    received = sys.stdin.buffer.read(length)
    if len(received) != length:
        # The parent process has closed the pipe, so no verdict can be sent.
        os._exit(1)
    return received
