"""A sandbox: a process that inspects one file, with limited memory, processor time and wall time.

The process has no file, no network and no environment, only the byte ranges that it requests over a pipe. Its output
is untrusted, and everything but a valid verdict is a failure. The server's own interpreter only copies ranges
meanwhile, so that a file which is expensive to inspect delays no request.
"""

import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from modelyard.server.inspection.readers import Reader

MAX_READ = 1 << 20
MAX_VERDICT = 4 << 20
STOP_CHECK_SECONDS = 0.5
_REQUEST = struct.Struct("<cQQ")
_PYTHON = (sys.executable, "-I", "-S", "-B", "-c")
# Requests go first: an inspection gets the processor time that the server leaves, from its first import on.
_LOW_PRIORITY = "import os; os.nice(10); "
# For verification workers. More processes than processors would not be faster, and each may use all its memory. At
# least two, so that one team's inspection does not wait for another team's.
WORKER_SLOTS = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))


@dataclass(frozen=True)
class SandboxLimits:
    """The resources that one inspection may use; ``memory`` in bytes.

    ``wall_seconds`` does not count the time in which the store reads. A file is judged by its processor time. The
    process has a low priority, so the wall time allows for a busy machine; it is below the time after which a
    verification without progress loses its lease.
    """

    memory: int = 512 * 1024 * 1024
    cpu_seconds: int = 20
    wall_seconds: float = 480.0


DEFAULT_LIMITS = SandboxLimits()


@dataclass(frozen=True)
class SandboxProgram:
    """Python statements to run, the folder that they import from, and arguments that follow the two limits."""

    boot: str
    folder: str
    arguments: tuple[str, ...] = ()


class SandboxFailed(Exception):
    """The process returned no valid verdict, or exceeded a limit; the text completes the sentence "This file ..."."""


class SandboxNotStarted(Exception):
    """The process ended before it requested a byte of the file: a fault of this machine, not of the file."""


def never_stop() -> None:
    """Do nothing: the ``raise_if_stopped`` of callers that never stop an inspection."""


def run_in_sandbox(
    program: SandboxProgram, reader: Reader, limits: SandboxLimits, raise_if_stopped: Callable[[], None] = never_stop
) -> dict[str, Any]:
    """Run ``program`` on the file and return its verdict. Errors of the store pass through.

    ``raise_if_stopped`` is called at each request of the program, and every half second; an exception from it ends the
    process and passes through. The caller limits how many sandboxes run at once.

    Raises:
        SandboxFailed: the program exceeded a limit, or returned no valid verdict.
        SandboxNotStarted: the process did not start; try again later.
    """
    process = _Process(program, limits, raise_if_stopped)
    try:
        return process.run_until_verdict(reader)
    finally:
        process.kill()


class _Process:
    """The running process and its remaining wall time."""

    def __init__(self, program: SandboxProgram, limits: SandboxLimits, raise_if_stopped: Callable[[], None]) -> None:
        self._limits = limits
        self._seconds_left = limits.wall_seconds
        self._raise_if_stopped = raise_if_stopped
        self._has_requested = False
        self._process = subprocess.Popen(
            [
                *(*_PYTHON, _LOW_PRIORITY + program.boot, program.folder),
                *(str(limits.memory), str(limits.cpu_seconds), *program.arguments),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            bufsize=0,
            # A process group of its own: killed as one, and not reached by Ctrl-C, on which the server ends it. But no
            # session of its own: Linux gives sessions equal shares of a processor (autogroup), whatever their niceness.
            process_group=0,
        )
        pipes = [pipe for pipe in (self._process.stdin, self._process.stdout) if pipe is not None]
        self._stdin, self._stdout = (pipe.fileno() for pipe in pipes)
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)

    def run_until_verdict(self, reader: Reader) -> dict[str, Any]:
        """Serve the requests of the process for byte ranges until it sends its verdict; see ``run_in_sandbox``."""
        self._send(struct.pack("<Q", reader.size))
        while True:
            kind, start, length = _REQUEST.unpack(self._receive(_REQUEST.size))
            self._has_requested = True
            self._raise_if_stopped()
            if kind == b"V" and length <= MAX_VERDICT:
                return self._parse_verdict(self._receive(length))
            if kind != b"R" or length > MAX_READ or start + length > reader.size:
                raise SandboxFailed("made its inspection fail")
            piece = reader.read(start, length)
            self._send(struct.pack("<L", len(piece)) + piece)

    def kill(self) -> None:
        """Kill the process and its process group, and wait for it. Idempotent."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.__exit__(None, None, None)

    def _parse_verdict(self, raw: bytes) -> dict[str, Any]:
        """Parse the verdict.

        Raises:
            SandboxFailed: it is not a JSON object.
        """
        try:
            verdict = json.loads(raw)
        except (ValueError, RecursionError):
            verdict = None
        if not isinstance(verdict, dict):
            raise SandboxFailed("made its inspection fail")
        return verdict

    def _send(self, message: bytes) -> None:
        """Write to the process within the remaining time.

        Raises:
            SandboxFailed, SandboxNotStarted: see ``_build_exit_error``; SandboxFailed when the time is used up.
        """
        unsent = memoryview(message)
        while unsent:
            self._wait_for_pipe(self._stdin, select.POLLOUT)
            try:
                unsent = unsent[os.write(self._stdin, unsent) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._build_exit_error() from None

    def _receive(self, length: int) -> bytes:
        """Read exactly ``length`` bytes from the process within the remaining time.

        Raises:
            SandboxFailed, SandboxNotStarted: see ``_build_exit_error``; SandboxFailed when the time is used up.
        """
        pieces = bytearray()
        while len(pieces) < length:
            self._wait_for_pipe(self._stdout, select.POLLIN)
            piece = os.read(self._stdout, length - len(pieces))
            if not piece:
                raise self._build_exit_error()
            pieces += piece
        return bytes(pieces)

    def _wait_for_pipe(self, descriptor: int, event: int) -> None:
        """Wait until the pipe is ready, and subtract the time from what is left; check for a stop every half second.

        Raises:
            SandboxFailed: the time is used up.
        """
        poll = select.poll()
        poll.register(descriptor, event)
        while True:
            began = time.monotonic()
            is_ready = poll.poll(max(0.0, min(self._seconds_left, STOP_CHECK_SECONDS)) * 1000)
            self._seconds_left -= time.monotonic() - began
            if is_ready:
                return
            self._raise_if_stopped()
            if self._seconds_left <= 0:
                raise SandboxFailed(f"takes longer than {self._limits.wall_seconds:g} seconds to inspect")

    def _build_exit_error(self) -> SandboxFailed | SandboxNotStarted:
        """Build the error of a process that ended without a verdict: not started, out of processor time, or failed."""
        if not self._has_requested:
            return SandboxNotStarted("The sandbox did not start.")
        with suppress(subprocess.TimeoutExpired):
            if self._process.wait(10) == -signal.SIGXCPU:
                return SandboxFailed(f"needs more than {self._limits.cpu_seconds} seconds of processor time to inspect")
        return SandboxFailed("exceeds the memory limit of its inspection, or made it fail")
