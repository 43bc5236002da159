"""Ctrl-C: the first cancels the command, the second ends the process at once."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from modelyard.cli.terminal.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import FrameType

Result = TypeVar("Result")

INTERRUPTED = 130
CLEANUP_SECONDS = 10.0
_SHOW_CURSOR = "\x1b[?25h"


# What the running transfer has done, for the message after Ctrl-C; one program runs one command.
_stop_descriptions: list[Callable[[], str]] = []


def set_stop_description(describe: Callable[[], str] | None) -> None:
    """Set the function that says what is done if the command is interrupted from now on; None for no transfer."""
    _stop_descriptions[:] = [] if describe is None else [describe]


def build_interruption_text(words: Sequence[str]) -> str:
    """Return the message after Ctrl-C; of push, pull and sync, what was done, and that the command can continue."""
    if {"push", "pull", "sync"}.isdisjoint(words):
        return "Interrupted.\n"
    done = next((f": {text}" for describe in _stop_descriptions if (text := describe())), "")
    return f"Interrupted{done}. Run the same command again to continue where it stopped.\n"


async def bounded_after_interrupt(work: Coroutine[Any, Any, Result]) -> Result:
    """Await ``work`` inside ``asyncio.run``, and bound the time that the process lives after a Ctrl-C.

    The first Ctrl-C cancels ``work``. The second, or the end of ``CLEANUP_SECONDS``, ends the process as SIGKILL would,
    with exit code 130. Both hold until the process is over, because the interpreter joins threads that may be blocked
    in a socket. Nothing changes where SIGINT is ignored or has the system's default action, or outside the main thread.
    Any other handler of SIGINT is called at the first Ctrl-C and replaced for the second.
    """
    cancel = signal.getsignal(signal.SIGINT)
    if not callable(cancel) or threading.current_thread() is not threading.main_thread():
        return await work

    def interrupt(number: int, frame: FrameType | None) -> None:
        """Prepare for the second Ctrl-C and start the time limit, then call the earlier handler, which cancels."""
        signal.signal(signal.SIGINT, _end_now)
        _end_after(CLEANUP_SECONDS)
        cancel(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        return await work
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, cancel)


def _end_after(seconds: float) -> None:
    """Make the process end with exit code 130 after so many seconds, by SIGALRM; does nothing on Windows."""
    # A timer of the kernel: starting a thread in a signal handler can deadlock with the interrupted code.
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, _end_now)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _end_now(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the shape of a signal handler
    """Print the interruption message, if standard error can take it, and end the process without clean-up."""
    cursor = _SHOW_CURSOR if Output("human").shows_bars else ""
    with suppress(OSError, ValueError):
        # Not through sys.stderr, whose lock the interrupted code may hold; and not into a pipe that is full.
        if sys.platform == "win32" or select.select([], [2], [], 0)[1]:
            os.write(2, (cursor + build_interruption_text(sys.argv[1:])).encode())
    os._exit(INTERRUPTED)
