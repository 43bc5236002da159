"""Run ``modelyard`` with these arguments in a process of the fork server at MODELYARD_TEST_FORK_SERVER, until it ends.

For the tests of the page: Node cannot pass descriptors. SIGINT and SIGTERM are passed on, SIGUSR1 as SIGKILL. The exit
code is that of the process, or 128 and the signal that ended it. Standard library only, so that it starts at once.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType


def main() -> None:
    environment = dict(os.environ)
    request = {"arguments": sys.argv[1:], "folder": str(Path.cwd()), "gate": None}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(environment.pop("MODELYARD_TEST_FORK_SERVER"))

        def pass_on(number: int, _frame: FrameType | None) -> None:
            with suppress(OSError):  # the process has ended
                connection.send(bytes([signal.SIGKILL if number == signal.SIGUSR1 else number]))

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, pass_on)
        line = json.dumps(request | {"environment": environment}).encode() + b"\n"
        connection.sendall(line[socket.send_fds(connection, [line], [0, 1, 2]) :])
        lines = connection.makefile("rb")
        lines.readline()  # the id of the process
        code = int(lines.readline())
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
