"""Ends a process right after a chosen one of the system calls that change what is on its disk.

strace makes the kernel stop the whole process (SIGSTOP) after each such call, whichever thread made it; we count the
stops, let it go on, and at the chosen one kill it. So "after the seventh" is exact, which strace's own ``when=7`` is
not: it counts for each thread.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_CALLS = (
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat,"
    "fsync,fdatasync,pwrite64,pwritev,pwritev2,ftruncate"
)
_OPTIONS = ("-f", "-q", "-y", "-s", "0", "-e", f"trace={_CALLS}", "-e", f"inject={_CALLS}:signal=SIGSTOP")
_CALL = re.compile(r"\b([a-z0-9]+)\((.*)")
_PAGE_WRITE = re.compile(r"^pwrite64 .*sqlite3(-wal)?>")
_PAGES = 8
_PAUSED = "--- SIGSTOP {"
_AT_REST = "--- stopped by SIGSTOP ---"
_ATTACH_SECONDS = 10.0


class Stepping:
    """Kills ``pid`` after its call number ``kill_after`` (from 1) within the block; if it makes fewer, it lives on.

    ``steps`` are the calls that it made, as strace shows them; ``count`` how many of them count: none before the first
    that has ``since`` in it.
    """

    def __init__(self, pid: int, kill_after: int, since: str = "") -> None:
        assert shutil.which("strace"), "strace is missing: install it (the package has the same name)."
        self.steps: list[str] = []
        self.count = 0
        self._page_writes = 0
        self.has_killed = False
        self._has_begun = False
        self._pid = pid
        self._kill_after = kill_after
        self._since = since
        self._tracer = subprocess.Popen(
            ["strace", *_OPTIONS, "-p", str(pid)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        ends = time.monotonic() + _ATTACH_SECONDS
        while not all(_is_traced(task) for task in Path(f"/proc/{self._pid}/task").iterdir()):
            assert self._tracer.poll() is None, "strace could not attach: is ptrace allowed here?"
            assert time.monotonic() < ends, "strace did not attach in time."
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.has_killed:
            self._tracer.send_signal(signal.SIGINT)  # detaches, and leaves the process as it is
        self._reader.join(_ATTACH_SECONDS)
        self._tracer.wait(_ATTACH_SECONDS)
        if not self.has_killed:
            # A stop that was on its way when strace let go is one of which nobody is told.
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGCONT)

    def _read(self) -> None:
        assert self._tracer.stderr is not None
        is_waited_for = False
        for line in self._tracer.stderr:
            if (call := _CALL.search(line)) and "resumed" not in line:
                self.steps.append(f"{call[1]} {call[2].strip()}")
            elif _PAUSED in line and not self.has_killed:
                is_waited_for = True
                self.count += self._counts(self.steps[-1])
                if self.count == self._kill_after:
                    self.has_killed = True
                    os.kill(self._pid, signal.SIGKILL)
            elif _AT_REST in line and is_waited_for and not self.has_killed:
                # Once for each stop: a second SIGCONT could take away the next one.
                is_waited_for = False
                os.kill(self._pid, signal.SIGCONT)

    def _counts(self, step: str) -> bool:
        """Every call counts, but of SQLite's writes of pages one after the other only the first of eight.

        A transaction is nothing before its last page; what follows that one, its fdatasync, counts again.
        """
        self._has_begun = self._has_begun or self._since in step
        self._page_writes = self._page_writes + 1 if _PAGE_WRITE.search(step) else 0
        return self._has_begun and (self._page_writes == 0 or self._page_writes % _PAGES == 1)


def _is_traced(task: Path) -> bool:
    try:
        return "TracerPid:\t0\n" not in (task / "status").read_text()
    except FileNotFoundError:
        return True  # a thread that has ended meanwhile
