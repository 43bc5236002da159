"""Programs that begin in a few milliseconds: processes forked from one that has read the modules already.

Each life is a whole process of its own, as from the command ``modelyard``; only the reading of modules is shared.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

# One line asks for a life: the log file, then the arguments. It is answered by the process id and, once that process
# has ended, by its status. It waits before a gate beside the log, if there is one, until that is gone.
_NURSERY = """
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


class Nursery:
    """One life after the other, each with this environment; ``modules`` are read before the first."""

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        self.pid = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", _NURSERY, *modules],
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

    def begin(self, log: Path, *arguments: str) -> None:
        """Begin a life."""
        assert self.pid == 0, "It is running already."
        assert self._process.stdin is not None
        self._process.stdin.write("\t".join([str(log), *arguments]) + "\n")
        self._process.stdin.flush()
        self.pid = int(self._line())

    def wait(self) -> int:
        """The exit code of the life that is ending; minus the signal for one that was killed."""
        code = int(self._line())
        self.pid = 0
        return code

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, and give the exit code."""
        os.kill(self.pid, number)
        return self.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
