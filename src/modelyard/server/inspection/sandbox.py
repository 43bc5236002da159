"""A sandbox: a process that inspects one file, with limited memory, processor time and wall time.

The process has no file, no network and no environment, only the byte ranges that it requests over a pipe. Its output
is untrusted. A file that exceeds a limit is not confused with a process that fails. The server's own interpreter only
copies ranges meanwhile, so that a file which is expensive to inspect delays no request.
"""

import json
import logging
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

from modelyard.comfyui.model_files.readers import Reader
from modelyard.server.inspection.error_output import ErrorOutput
from modelyard.server.inspection.pickle_scanner.program import OUT_OF_MEMORY

MAX_READ = 1 << 20
MAX_VERDICT = 4 << 20
_EXIT_SECONDS = 5.0
STOP_CHECK_SECONDS = 0.5
_REQUEST = struct.Struct("<cQQ")
_PYTHON = (sys.executable, "-I", "-S", "-B", "-W", "ignore", "-c")
# Requests go first: an inspection gets the processor time that the server leaves, from its first import on.
_PREPARATION = "import os; os.nice(10); "
log = logging.getLogger("modelyard.sandbox")
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


class LimitExceeded(Exception):
    """The file needs more than an inspection may use; the text completes the sentence "This file ..."."""


class SandboxFailed(Exception):
    """The process did not start, crashed, or returned no valid verdict: a fault of the registry, not of the file.

    ``output`` is the end of what it wrote to its standard error, such as a traceback: for the log, since it may quote
    the file.
    """

    def __init__(self, reason: str, output: str = "") -> None:
        super().__init__(reason)
        self.output = output
        if output:
            self.add_note(output)  # shown where nothing catches it, such as in a failed test


def log_failure(failed: SandboxFailed, **facts: str) -> None:
    """Log a failed sandbox for the operators; ``facts`` name what it should have read, such as its ``blob``."""
    log.error("a sandbox failed", extra={"why": str(failed), "output": failed.output, **facts})


def never_stop() -> None:
    """Do nothing: the ``raise_if_stopped`` of callers that never stop an inspection."""


def run_in_sandbox(
    program: SandboxProgram, reader: Reader, limits: SandboxLimits, raise_if_stopped: Callable[[], None] = never_stop
) -> dict[str, Any]:
    """Run ``program`` on the file and return its verdict. Errors of the store pass through.

    ``raise_if_stopped`` is called at each request of the program, and every half second; an exception from it ends the
    process and passes through. The caller limits how many sandboxes run at once.

    Raises:
        LimitExceeded: the program exceeded a limit.
        SandboxFailed: the process did not start, crashed, or returned no valid verdict; try again later.
    """
    try:
        process = _Process(program, limits, raise_if_stopped)
    except OSError as error:
        raise SandboxFailed(f"The sandbox did not start: {error.strerror}.") from error
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
        self._process = subprocess.Popen(
            [
                *(*_PYTHON, _PREPARATION + program.boot, program.folder),
                *(str(limits.memory), str(limits.cpu_seconds), *program.arguments),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            bufsize=0,
            # A process group of its own: killed as one, and not reached by Ctrl-C, on which the server ends it. But no
            # session of its own: Linux gives sessions equal shares of a processor (autogroup), whatever their niceness.
            process_group=0,
        )
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._stdin, self._stdout, stderr = (pipe.fileno() for pipe in pipes if pipe is not None)
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)
        self._error_output = ErrorOutput(stderr)

    def run_until_verdict(self, reader: Reader) -> dict[str, Any]:
        """Serve the requests of the process for byte ranges until it sends its verdict; see ``run_in_sandbox``.

        Raises:
            LimitExceeded: the verdict is too long, or see ``run_in_sandbox``.
            SandboxFailed: a request or the verdict is invalid, or see ``run_in_sandbox``.
        """
        self._send(struct.pack("<Q", reader.size))
        while True:
            kind, start, length = _REQUEST.unpack(self._receive(_REQUEST.size))
            self._raise_if_stopped()
            if kind == b"V" and length > MAX_VERDICT:
                raise LimitExceeded("has a longer description of its tensors than this registry reads")
            if kind == b"V":
                return self._parse_verdict(self._receive(length))
            if kind != b"R" or length > MAX_READ or start + length > reader.size:
                raise self._build_failure("The sandbox sent an invalid request.")
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
            raise self._build_failure("The sandbox sent an invalid verdict.")
        return verdict

    def _build_failure(self, reason: str) -> SandboxFailed:
        """Build the failure, with the end of what the process has written to its standard error so far."""
        self._error_output.read()
        return SandboxFailed(reason, self._error_output.get_text())

    def _send(self, message: bytes) -> None:
        """Write to the process within the remaining time.

        Raises:
            LimitExceeded, SandboxFailed: see ``_build_exit_error``; SandboxFailed when the time is used up.
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
            LimitExceeded, SandboxFailed: see ``_build_exit_error``; SandboxFailed when the time is used up.
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
            SandboxFailed: the time is used up, which is far more than its processor time: the machine is too busy.
        """
        poll = select.poll()
        poll.register(descriptor, event)
        poll.register(self._error_output.descriptor, select.POLLIN)
        began = checked = time.monotonic()
        while True:
            ready = dict(poll.poll(max(0.0, min(self._seconds_left, STOP_CHECK_SECONDS)) * 1000))
            if self._error_output.descriptor in ready and not self._error_output.read():
                poll.unregister(self._error_output.descriptor)
            began, before = time.monotonic(), began
            self._seconds_left -= began - before
            if descriptor in ready:
                return
            if began - checked >= STOP_CHECK_SECONDS:
                checked = began
                self._raise_if_stopped()
            if self._seconds_left <= 0:
                raise self._build_failure(f"The sandbox took longer than {self._limits.wall_seconds:g} seconds.")

    def _build_exit_error(self) -> LimitExceeded | SandboxFailed:
        """Build the error of a process that ended, or closed a pipe, without a verdict: a limit, or a failure."""
        self._error_output.read_to_end(_EXIT_SECONDS)
        try:
            code = self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return self._build_failure("The sandbox closed a pipe.")
        if code == -signal.SIGXCPU:
            return LimitExceeded(f"needs more than {self._limits.cpu_seconds} seconds of processor time to inspect")
        if code == OUT_OF_MEMORY:
            return LimitExceeded("exceeds the memory limit of its inspection")
        ending = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return self._build_failure(f"The sandbox {ending}.")
