"""The program in the cage: takes its limits, asks for ranges, answers with one verdict, and ends.

Conversation, all integers little-endian:
    in:   uint64 size of the file
    out:  b"R" uint64 start, uint64 length        in: uint32 length, the bytes        (any number of times)
    out:  b"V" uint64 0, uint64 length, JSON      once, and then the end
"""

import json
import os
import resource
import struct
import sys

from .containers import scan
from .ranges import Ranges, Refused

MAX_NAME_CHARACTERS = 512 * 1024


def main(arguments: list[str]) -> None:
    """``arguments``: memory in bytes, seconds of processor time."""
    _limit(int(arguments[0]), int(arguments[1]))
    (size,) = struct.unpack("<Q", _receive(8))
    verdict = json.dumps(_verdict(Ranges(size, _ask))).encode()
    sys.stdout.buffer.write(struct.pack("<cQQ", b"V", 0, len(verdict)) + verdict)
    sys.stdout.buffer.flush()


def _limit(memory: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # Three pipes are open; no file and no socket can follow.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    os.nice(5)


def _verdict(ranges: Ranges) -> dict[str, object]:
    """``clean`` with facts, or a refusal; whatever goes wrong in here is a refusal too."""
    try:
        scanned = scan(ranges)
    except Refused as refused:
        return {"clean": False, "reason": refused.reason, "found": refused.found}
    except MemoryError:
        return {"clean": False, "reason": "needs more memory to look at than it may have", "found": "oversized pickle"}
    except Exception as error:  # noqa: BLE001 - a scanner that fails has found nothing clean
        return {"clean": False, "reason": f"broke the scanner ({type(error).__name__})", "found": "damaged pickle file"}
    return {
        "clean": True,
        "container": scanned.container,
        "dtypes": dict(scanned.dtypes),
        "elements": scanned.elements,
        "names": _first(scanned.names),
    }


def _first(names: list[str]) -> list[str]:
    """As many names as keep the verdict small, however JSON escapes them."""
    room = MAX_NAME_CHARACTERS
    kept = []
    for name in names:
        room -= len(name) + 4
        if room < 0:
            break
        kept.append(name)
    return kept


def _ask(start: int, length: int) -> bytes:
    sys.stdout.buffer.write(struct.pack("<cQQ", b"R", start, length))
    sys.stdout.buffer.flush()
    (size,) = struct.unpack("<L", _receive(4))
    return _receive(size)


def _receive(length: int) -> bytes:
    received = sys.stdin.buffer.read(length)
    if len(received) != length:
        # The other side has gone: there is nobody to tell.
        os._exit(1)
    return received
