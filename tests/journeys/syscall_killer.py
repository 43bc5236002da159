"""Kills a process right after a chosen one of the system calls that change its files.

strace makes the kernel stop the whole process (SIGSTOP) after each such call, whichever thread made it; this module
counts the stops, continues the process, and kills it at the chosen one. So "after the seventh" is exact, which strace's
own ``when=7`` is not: it counts for each thread.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.waiting import PATIENCE_SECONDS, wait_until

_FILE_SYSCALLS = (
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat,"
    "fsync,fdatasync,pwrite64,pwritev,pwritev2,ftruncate"
)
_OPTIONS = (
    "-f",
    "-q",
    "-y",
    "-s",
    "0",
    "-e",
    f"trace={_FILE_SYSCALLS}",
    "-e",
    f"inject={_FILE_SYSCALLS}:signal=SIGSTOP",
)
_SYSCALL = re.compile(r"\b([a-z0-9]+)\((.*)")
_PAGE_WRITE = re.compile(r"^pwrite64 .*sqlite3(-wal)?>")
_COUNTED_PAGE = 8
_STOP_SIGNAL_LINE = "--- SIGSTOP {"
_STOPPED_LINE = "--- stopped by SIGSTOP ---"
_ATTACH_SECONDS = PATIENCE_SECONDS


class SyscallKiller:
    """Kills ``pid`` after its counted system call number ``kill_after`` (from 1) inside the block.

    If the process makes fewer, it is not killed, and ``has_killed`` stays False. ``syscalls`` are the calls that it
    made, as strace shows them; ``count`` is how many of them were counted: none before the first in whose text the
    regular expression ``since`` is found.
    """

    def __init__(self, pid: int, kill_after: int, since: str = "") -> None:
        assert shutil.which("strace"), "strace is missing: install it (the package has the same name)."
        self.syscalls: list[str] = []
        self.count = 0
        self._page_writes = 0
        self.has_killed = False
        self._has_begun = False
        self._pid = pid
        self._kill_after = kill_after
        self._since = re.compile(since)
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
        wait_until(self._is_attached)
        return self

    def _is_attached(self) -> bool:
        assert self._tracer.poll() is None, "strace could not attach: is ptrace allowed here?"
        return all(_is_traced(task) for task in Path(f"/proc/{self._pid}/task").iterdir())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.has_killed:
            self._tracer.send_signal(signal.SIGINT)  # detaches, and leaves the process as it is
        self._reader.join(_ATTACH_SECONDS)
        self._tracer.wait(_ATTACH_SECONDS)
        if not self.has_killed:
            # strace does not report a stop that was pending when it detached.
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGCONT)

    def _read(self) -> None:
        """Read strace output: record system calls, continue the process after each stop, kill it at the chosen one."""
        assert self._tracer.stderr is not None
        needs_continue = False
        for line in self._tracer.stderr:
            if (call := _SYSCALL.search(line)) and "resumed" not in line:
                self.syscalls.append(f"{call[1]} {call[2].strip()}")
                # Before the stop: lines of other threads may come between the call and its stop.
                self._has_begun = self._has_begun or self._since.search(self.syscalls[-1]) is not None
            elif _STOP_SIGNAL_LINE in line and not self.has_killed:
                needs_continue = True
                self.count += self._is_counted(self.syscalls[-1])
                if self.count == self._kill_after:
                    self.has_killed = True
                    os.kill(self._pid, signal.SIGKILL)
            elif _STOPPED_LINE in line and needs_continue and not self.has_killed:
                # Once for each stop: a second SIGCONT could take away the next one.
                needs_continue = False
                os.kill(self._pid, signal.SIGCONT)

    def _is_counted(self, syscall: str) -> bool:
        """Return whether a call is counted: every one, but of consecutive SQLite page writes the first of each eight.

        A transaction has no effect before its last page; the fdatasync after that is counted again.
        """
        self._page_writes = self._page_writes + 1 if _PAGE_WRITE.search(syscall) else 0
        return self._has_begun and (self._page_writes == 0 or self._page_writes % _COUNTED_PAGE == 1)


def _is_traced(task: Path) -> bool:
    """Return whether a tracer is attached to a thread; True for one that has ended."""
    try:
        return "TracerPid:\t0\n" not in (task / "status").read_text()
    except FileNotFoundError:
        return True  # a thread that has ended meanwhile
