"""A fork server: starts ``modelyard`` processes in milliseconds from one that has already imported the modules.

Each process that it starts is a whole one, as from the command line; only the imports are shared. This module is also
the program of the fork server. It listens at a Unix socket, and forks twice for each connection: a watcher, and from
that the process. The watcher writes the process id and the exit code to the connection, passes on each signal that it
reads from it, and kills the process when the connection ends.
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
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.waiting import PATIENCE_SECONDS, wait_until

# What ``modelyard serve`` imports when it starts.
SERVER_MODULES = ("modelyard.server.main", "modelyard.server.operator_commands", "modelyard.server.app")
# In tests only: a bench measures processes as users start them. Only Linux has descriptors of processes.
CAN_FORK = "PYTEST_VERSION" in os.environ and hasattr(os, "pidfd_open")


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


class ForkServer:
    """Starts processes that share the imports of ``modules``."""

    def __init__(self, *modules: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="modelyard-fork-server-")
        self._path = str(Path(self._folder.name, "socket"))
        command = [sys.executable, "-m", "tests.fork_server", self._path, *modules]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path(__file__).parents[1])
        wait_until(lambda: Path(self._path).exists() or self._process.poll() is not None)
        assert self._process.poll() is None, "The fork server ended."

    def close(self) -> None:
        """End the fork server; processes that still run are not affected."""
        self._process.communicate(timeout=PATIENCE_SECONDS)
        self._folder.cleanup()

    def start(self, log: Path, *arguments: str, environment: Mapping[str, str]) -> ForkedProcess:
        """Start ``modelyard`` with these arguments and this environment; its output is appended to ``log``.

        While a file ``LOG.gate`` exists, the process waits before it runs the command.
        """
        request = {"log": str(log.absolute()), "arguments": arguments, "environment": dict(environment)}
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self._path)
            connection.sendall(json.dumps(request | {"folder": str(Path.cwd())}).encode() + b"\n")
            return ForkedProcess(connection)
        except BaseException:
            connection.close()
            raise


def start_server(
    log: Path, *arguments: str, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes] | ForkedProcess":
    """Start a command of the server with this environment, forked if possible; its output is appended to ``log``."""
    if CAN_FORK:
        return open_fork_server(*SERVER_MODULES).start(log, *arguments, environment=environment)
    with log.open("ab") as output:
        command = [sys.executable, "-m", "modelyard", *arguments]
        return subprocess.Popen(command, stdout=output, stderr=output, env=dict(environment))


@cache
def open_fork_server(*modules: str) -> ForkServer:
    """Return the fork server of this test process with these modules; it ends with the test process."""
    server = ForkServer(*modules)
    atexit.register(server.close)
    return server


def main() -> None:
    """Import the modules that are named after the socket, and fork for each connection until the input ends."""
    path, *modules = sys.argv[1:]
    for name in modules:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for what watches the processes
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
    request = json.loads(connection.makefile().readline())
    pid = os.fork()
    if pid == 0:
        connection.close()
        run_command(**request)
        return
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
    ended = os.pidfd_open(pid)
    poller = select.poll()
    for descriptor in (ended, connection.fileno()):
        poller.register(descriptor, select.POLLIN)
    while ended not in [descriptor for descriptor, _ in poller.poll()]:
        number = connection.recv(1)
        if not number:
            return
        os.kill(pid, number[0])


def run_command(log: str, arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """Become the process: redirect its output, wait for the gate, and run ``modelyard``."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    wait_until(lambda: not Path(f"{log}.gate").exists())
    from modelyard.__main__ import main as run_modelyard

    sys.argv = ["modelyard", *arguments]
    run_modelyard()


if __name__ == "__main__":
    main()
