"""The standard error of a sandbox: its end is kept for the log, such as a traceback."""

import os
import select
import time
from contextlib import suppress

MAX_BYTES = 4096
_PIPE_BYTES = 64 * 1024


class ErrorOutput:
    """The end of what a process writes to a pipe; the pipe has to be read while it runs, or it waits at a full one."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self._end = b""

    def read(self) -> bool:
        """Read what is in the pipe; return False once the process has closed it."""
        with suppress(BlockingIOError):
            piece = os.read(self.descriptor, _PIPE_BYTES)
            self._end = (self._end + piece)[-MAX_BYTES:]
            return bool(piece)
        return True

    def read_to_end(self, seconds: float) -> None:
        """Read until the process has closed the pipe, for at most so many seconds."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0 and poll.poll(left * 1000) and self.read():
            pass

    def get_text(self) -> str:
        """Return the end of what was read, without characters that could change a terminal: it may quote the file."""
        text = self._end.decode(errors="replace")
        return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)
