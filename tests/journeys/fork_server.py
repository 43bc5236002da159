"""A fork server: starts ``modelyard`` processes in a few milliseconds from one that has already imported the modules.

Each is a whole process of its own, as from the command line; only the imports are shared.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

# One line of input starts a process: the log file, then the arguments, separated by tabs. The output is its process id
# and, once it has ended, its exit code. While a file ``LOG.gate`` exists, the process waits before it runs the command.
_FORK_SERVER_PROGRAM = """
import importlib, os, sys, time
for name in sys.argv[1:]:
    importlib.import_module(name)
from modelyard.__main__ import main

for line in sys.stdin:
    log, *arguments = line.rstrip("\\n").split("\\t")
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        while os.path.exists(log + ".gate"):
            time.sleep(0.002)
        sys.argv = ["modelyard", *arguments]
        main()
        sys.exit()
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class ForkServer:
    """Starts one process after the other, each with this environment; ``modules`` are imported before the first.

    ``pid`` is the running process, or 0 if none runs. The running process is killed at the end of a ``with`` block.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self.pid = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", _FORK_SERVER_PROGRAM, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(environment),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
        self._process.kill()
        self._process.communicate()

    def start(self, log: Path, *arguments: str) -> None:
        """Start ``modelyard`` with these arguments; its output is appended to ``log``."""
        assert self.pid == 0, "It is running already."
        assert self._process.stdin is not None
        self._process.stdin.write("\t".join([str(log), *arguments]) + "\n")
        self._process.stdin.flush()
        self.pid = int(self._read_line())

    def wait(self) -> int:
        """Wait until the process ends and return its exit code; minus the signal number if a signal killed it."""
        code = int(self._read_line())
        self.pid = 0
        return code

    def signal_and_wait(self, signal_number: signal.Signals) -> int:
        """Send the process a signal, wait until it ends, and return its exit code."""
        os.kill(self.pid, signal_number)
        return self.wait()

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
