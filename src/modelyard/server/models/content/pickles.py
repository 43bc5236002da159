"""Pickle files: refused, or looked at by a process in a cage, which this side feeds, watches and ends.

The cage gets no file, no network address, no environment: only the ranges that it asks for. Everything that comes
back from it is treated as hostile, and everything but a clean verdict refuses the file.
"""

import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelyard.server.models.content.facts import ModelFacts, clean_entries, clean_text
from modelyard.server.models.content.families import guess_family
from modelyard.server.models.content.reading import Reader
from modelyard.server.models.content.refusing import refusal
from modelyard.wire.problems import NotAModelFile

PicklePolicy = Literal["block", "scan"]

MAX_READ = 1 << 20
MAX_VERDICT = 4 << 20
_QUESTION = struct.Struct("<cQQ")
# The cage's folder is imported as a package of its own, without site-packages and without the rest of modelyard.
_BOOT = "import sys; sys.path.append(sys.argv[1]); from cage.program import main; main(sys.argv[2:])"
_PYTHON = (sys.executable, "-I", "-S", "-B", "-c", _BOOT)
# Two cages at once: more would only share the processors, and each may take its whole memory.
_CAGES = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class CageLimits:
    """What one scan may use. ``wall_seconds`` does not count the time in which the store reads for it."""

    memory: int = 512 * 1024 * 1024
    cpu_seconds: int = 20
    wall_seconds: float = 60.0


class _Silent(Exception):
    """The cage ended or ran out of time without a verdict."""


def examine_pickle(reader: Reader, policy: PicklePolicy, limits: CageLimits = CageLimits()) -> ModelFacts:
    """Facts of a file whose every pickle holds tensors only: a label, not a blessing.

    Raises:
        NotAModelFile: the policy blocks pickle files, or the scan found something, failed, or took too long.
    """
    if policy != "scan":
        raise refusal(
            "This is a pickle file, and such files can run code on every machine that loads them; this team's "
            "setting 'pickle_policy' is 'block'. Convert it to .safetensors, or let an admin of the team set "
            "'pickle_policy' to 'scan'.",
            "pickle file",
            setting="pickle_policy",
        )
    with _CAGES:
        verdict = _scan(reader, limits)
    if verdict.get("clean") is not True:
        raise _unclean(str(verdict.get("reason", "")), str(verdict.get("found", "")))
    return _facts(verdict)


def _scan(reader: Reader, limits: CageLimits) -> dict[str, Any]:
    cage = _Cage(limits)
    try:
        return cage.converse(reader)
    except _Silent:
        raise _unclean("needs more time or memory to look at than it may have", "oversized pickle") from None
    finally:
        cage.end()


class _Cage:
    """The running process, and how much of its time is left."""

    def __init__(self, limits: CageLimits) -> None:
        self._left = limits.wall_seconds
        self._process = subprocess.Popen(
            [*_PYTHON, str(Path(__file__).parent), str(limits.memory), str(limits.cpu_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        pipes = [pipe for pipe in (self._process.stdin, self._process.stdout) if pipe is not None]
        self._to, self._from = (pipe.fileno() for pipe in pipes)
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)

    def converse(self, reader: Reader) -> dict[str, Any]:
        """Answers questions until the verdict comes. Errors of the store pass through.

        Raises:
            _Silent: no verdict came.
        """
        self._send(struct.pack("<Q", reader.size))
        while True:
            kind, start, length = _QUESTION.unpack(self._receive(_QUESTION.size))
            if kind == b"V" and length <= MAX_VERDICT:
                return self._verdict(self._receive(length))
            if kind != b"R" or length > MAX_READ or start + length > reader.size:
                raise _Silent
            answer = reader.read(start, length)
            self._send(struct.pack("<L", len(answer)) + answer)

    def end(self) -> None:
        """Ends the process and its whole group; may be called twice."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, 9)
        self._process.__exit__(None, None, None)

    def _verdict(self, raw: bytes) -> dict[str, Any]:
        try:
            verdict = json.loads(raw)
        except (ValueError, RecursionError):
            raise _Silent from None
        if not isinstance(verdict, dict):
            raise _Silent
        return verdict

    def _send(self, message: bytes) -> None:
        rest = memoryview(message)
        while rest:
            self._wait(self._to, select.POLLOUT)
            try:
                rest = rest[os.write(self._to, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise _Silent from None

    def _receive(self, length: int) -> bytes:
        pieces = bytearray()
        while len(pieces) < length:
            self._wait(self._from, select.POLLIN)
            piece = os.read(self._from, length - len(pieces))
            if not piece:
                raise _Silent
            pieces += piece
        return bytes(pieces)

    def _wait(self, descriptor: int, event: int) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        began = time.monotonic()
        ready = poll.poll(max(0.0, self._left) * 1000)
        self._left -= time.monotonic() - began
        if not ready:
            raise _Silent


def _facts(verdict: dict[str, Any]) -> ModelFacts:
    names = [name for name in verdict.get("names", []) if isinstance(name, str)]
    dtypes = {str(name): int(count) for name, count in dict(verdict.get("dtypes", {})).items()}
    elements = int(verdict.get("elements", 0))
    return ModelFacts(
        format="pickle",
        tensor_dtypes=dtypes,
        parameter_count=elements if dtypes else None,
        architecture=guess_family(dict.fromkeys(names)),
        extra=clean_entries({"pickle_scan": "clean", "container": str(verdict.get("container", ""))}),
    )


def _unclean(reason: str, found: str) -> NotAModelFile:
    return refusal(
        f"This file {clean_text(reason, 300)}. It was not accepted: convert it to .safetensors on a machine where "
        "running it does no harm, and upload that.",
        clean_text(found, 60) or "damaged pickle file",
        pickle_scan="refused",
    )
