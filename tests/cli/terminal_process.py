"""Run the program in a real pseudo-terminal of a given width."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import PATIENCE_SECONDS, wait_until

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SILENCE_SECONDS = PATIENCE_SECONDS
# Where the kernel keeps a thread that reads from a terminal, or that waits until it can.
_READING = {"n_tty_read", "wait_woken", "do_select", "poll_schedule_timeout"}
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Shown:
    """What a program wrote to its terminal, and its exit code."""

    code: int
    raw: str

    @property
    def rows(self) -> list[str]:
        """The texts between line ends and moves of the cursor, without control sequences; none is empty."""
        return [row for row in re.split(r"[\r\n]+", _CONTROL.sub("", self.raw)) if row]

    @property
    def has_colors(self) -> bool:
        return any(match != "\x1b[0m" for match in _COLOR.findall(self.raw))


def run_in_terminal(
    *arguments: object,
    columns: int,
    interrupt_at: str | None = None,
    is_question: bool = False,
    environment: dict[str, str] | None = None,
) -> Shown:
    """Run the program with a terminal of so many columns as its three streams, until it ends.

    ``interrupt_at``: Ctrl-C is pressed once this text has been shown.
    ``is_question``: the text is a question; Ctrl-C is pressed once the program waits for the answer.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "modelyard", *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509 - the tests have no other threads here
        env=inherited | {"TERM": "xterm-256color"} | (environment or {}),
    )
    os.close(slave)
    try:
        raw = _read_all(master, interrupt_at, process.pid if is_question else None)
        return Shown(process.wait(timeout=PATIENCE_SECONDS), raw)
    finally:
        process.kill()


def _take_terminal() -> None:
    """Make standard input the controlling terminal, so that Ctrl-C becomes SIGINT."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _read_all(master: int, interrupt_at: str | None, asking_pid: int | None) -> str:
    """Read what is shown until the program has closed the terminal; press Ctrl-C once ``interrupt_at`` is shown.

    ``asking_pid``: the process whose wait for an answer is awaited before.
    """
    shown = b""
    while chunk := _read(master):
        shown += chunk
        if interrupt_at is not None and interrupt_at.encode() in shown:
            if asking_pid is not None:
                _wait_until_reading(asking_pid)
            os.write(master, b"\x03")
            interrupt_at = None
    os.close(master)
    return shown.decode(errors="replace")


def _wait_until_reading(pid: int) -> None:
    """Wait until the main thread is in a blocking read of the terminal (Linux).

    Python calls the handler of a signal that arrives just before a blocking read only when that read returns.

    Raises:
        AssertionError: it was not in time.
    """
    wait_until(lambda: Path(f"/proc/{pid}/wchan").read_text().split(".")[0] in _READING)


def _read(master: int) -> bytes:
    """Return what is shown next; nothing at the end, which Linux reports as an error of input.

    Raises:
        TimeoutError: nothing was shown for a long time.
    """
    if not select.select([master], [], [], _SILENCE_SECONDS)[0]:
        raise TimeoutError
    try:
        return os.read(master, 65536)
    except OSError:
        return b""
