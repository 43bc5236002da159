"""A fork server: starts ``modelyard`` processes in milliseconds from one that has already imported the program.

Each process that it starts is a whole one, as from the command line; only the imports are shared. This module is also
the program of the fork server. It listens at a Unix socket, and forks twice for each connection: a watcher, and from
that the process. A request is a line of JSON, with the descriptors of the process's three streams. The watcher writes
the process id and the exit code to the connection, passes on each signal that it reads from it, and kills the process
when the connection ends.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from modelyard.cli.commands import CLIENT_COMMANDS
from tests.waiting import PATIENCE_SECONDS, wait_until
from tools.repository import ROOT

# What ``serve``, ``agent run`` and the commands of the client import when they start.
MODULES = (
    *("modelyard.server.main", "modelyard.server.operator_commands", "modelyard.server.app"),
    *("modelyard.cli.command_tree", "modelyard.agent.startup"),
    *(f"modelyard.cli.{command.module}" for command in CLIENT_COMMANDS.values()),
)
# In tests only: a bench measures processes as users start them. Only Linux has descriptors of processes.
CAN_FORK = "PYTEST_VERSION" in os.environ and hasattr(os, "pidfd_open")
# Without what the test that needs the fork server first has changed.
_ENVIRONMENT = dict(os.environ)


class ForkedProcess:
    """A process of a fork server, with the methods of ``subprocess.Popen`` that tests use.

    It is killed when its connection ends: when this object is collected, or when the test process ends.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("r")
        self._lock = threading.Lock()
        self.returncode: int | None = None
        self.pid = self._read_number()

    def poll(self) -> int | None:
        """Return the exit code, minus the signal number if a signal killed it; None if the process runs."""
        return self._read_code(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process ends, and return its exit code.

        Raises:
            TimeoutExpired: it still runs after ``timeout`` seconds.
        """
        code = self._read_code(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(["modelyard"], timeout or 0)
        return code

    def send_signal(self, signal_number: signal.Signals) -> None:
        """Send the process a signal, unless it has ended; the watcher does, so that no other process can get it."""
        with self._lock, suppress(OSError):
            if self.returncode is None:
                self._connection.sendall(bytes([signal_number]))

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _read_code(self, timeout: float | None) -> int | None:
        """Wait for the exit code and return it; None if it has not come within ``timeout`` seconds."""
        with self._lock:
            if self.returncode is None and self._is_readable(timeout):
                self.returncode = self._read_number()
                self._lines.close()
                self._connection.close()
            return self.returncode

    def _is_readable(self, timeout: float | None) -> bool:
        poller = select.poll()
        poller.register(self._connection, select.POLLIN)
        return bool(poller.poll(None if timeout is None else 1000 * timeout))

    def _read_number(self) -> int:
        line = self._lines.readline()
        if not line:
            raise RuntimeError("The fork server has ended.")
        return int(line)


StartedProcess = subprocess.Popen[bytes] | ForkedProcess


class ForkServer:
    """Starts processes that share the imports of ``MODULES``."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="modelyard-fork-server-")
        self.path = str(Path(self._folder.name, "socket"))
        command = [sys.executable, "-m", "tests.fork_server", self.path]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=_ENVIRONMENT, cwd=ROOT)
        wait_until(lambda: Path(self.path).exists() or self._process.poll() is not None)
        assert self._process.poll() is None, "The fork server ended."

    def close(self) -> None:
        """End the fork server; processes that still run are not affected."""
        self._process.communicate(timeout=PATIENCE_SECONDS)
        self._folder.cleanup()

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int], gate: Path | None = None
    ) -> ForkedProcess:
        """Start ``modelyard`` with these arguments, environment and descriptors of stdin, stdout and stderr.

        While the file ``gate`` exists, the process waits before it runs the command.
        """
        request = {"arguments": list(arguments), "environment": dict(environment), "folder": str(Path.cwd())}
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self.path)
            line = json.dumps(request | {"gate": None if gate is None else str(gate.absolute())}).encode() + b"\n"
            sent = socket.send_fds(connection, [line], list(streams))
            connection.sendall(line[sent:])
            return ForkedProcess(connection)
        except BaseException:
            connection.close()
            raise


def start_program(
    log: Path, *arguments: str, environment: Mapping[str, str], gate: Path | None = None
) -> StartedProcess:
    """Start ``modelyard``; its output is appended to ``log``. It waits first while ``gate`` exists, if it is forked."""
    with Path(os.devnull).open("rb") as nothing, log.open("ab") as output:
        return _start(arguments, environment, (nothing, output, output), gate)


def run_program(
    *arguments: str, environment: Mapping[str, str], typed: str = "", stdin: IO[bytes] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run ``modelyard`` to its end; its input is ``typed``, or the open file ``stdin``.

    Raises:
        TimeoutExpired: it still ran after minutes, and was killed.
    """
    with TemporaryFile() as text, TemporaryFile() as out, TemporaryFile() as err:
        text.write(typed.encode())
        text.seek(0)
        process = _start(arguments, environment, (stdin or text, out, err))
        try:
            code = process.wait(4 * PATIENCE_SECONDS)
        finally:
            process.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read().decode(), err.read().decode())


def _start(
    arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[IO[bytes]], gate: Path | None = None
) -> StartedProcess:
    """Start ``modelyard`` with these streams, forked if possible."""
    if CAN_FORK:
        return open_fork_server().start(arguments, environment, [stream.fileno() for stream in streams], gate)
    assert gate is None or not gate.exists(), "Only a forked process can wait at a gate."
    stdin, stdout, stderr = streams
    command = [sys.executable, "-m", "modelyard", *arguments]
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=dict(environment))


@cache
def open_fork_server() -> ForkServer:
    """Return the fork server of this test process; it ends with the test process."""
    server = ForkServer()
    atexit.register(server.close)
    return server


def main() -> None:
    """Import the program, and fork for each connection until the input ends."""
    path = sys.argv[1]
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the watchers
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.new")
        listener.listen()
        Path(f"{path}.new").rename(path)
        while 0 not in select.select([listener.fileno(), 0], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                watch_process(connection)
                return
            connection.close()


def watch_process(connection: socket.socket) -> None:
    """Fork the process that the connection asks for, and exit when it has ended; the process itself returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    begin, streams, *_ = socket.recv_fds(connection, 65_536, 3)
    line = begin if begin.endswith(b"\n") else begin + connection.makefile("rb").readline()
    pid = os.fork()
    if pid == 0:
        connection.close()
        run_command(streams, **json.loads(line))
        return
    for descriptor in streams:
        os.close(descriptor)
    with suppress(OSError):  # the test that asked has ended
        connection.sendall(b"%d\n" % pid)
        pass_signals(connection, pid)
    os.kill(pid, signal.SIGKILL)  # nothing happens to one that has ended
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):
        connection.sendall(b"%d\n" % code)
    os._exit(0)


def pass_signals(connection: socket.socket, pid: int) -> None:
    """Send the process each signal that is read from the connection, a byte for each, until one of the two ends."""
    process = os.pidfd_open(pid)
    poller = select.poll()
    for descriptor in (process, connection.fileno()):
        poller.register(descriptor, select.POLLIN)
    while process not in [descriptor for descriptor, _ in poller.poll()]:
        number = connection.recv(1)
        if not number:
            return
        os.kill(pid, number[0])


def run_command(
    streams: Sequence[int], arguments: list[str], environment: dict[str, str], folder: str, gate: str | None
) -> None:
    """Become the process: take its streams, environment and folder, wait for the gate, and run ``modelyard``."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    open_streams()
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    wait_until(lambda: gate is None or not Path(gate).exists())
    from modelyard.__main__ import main as run_modelyard

    sys.argv = ["modelyard", *arguments]
    try:
        run_modelyard()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            raise
        end_process(ended.code or 0)


def end_process(code: int) -> None:
    """Exit as Python does, but leave its modules alone: to destroy them copies the memory of the fork server."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter does
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 120  # Python's own for this case
    os._exit(code)


def open_streams() -> None:
    """Open the three streams of Python anew, by line if they are a terminal; their encoding stays."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        before = getattr(sys, f"__{name}__")
        buffering = 1 if number == 2 or os.isatty(number) else -1  # 1: by line
        newline = "\n" if number == 0 else None
        stream = open(number, before.mode, buffering, before.encoding, before.errors, newline, closefd=False)  # noqa: SIM115 - stays open
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


if __name__ == "__main__":
    main()
