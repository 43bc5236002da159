"""Answer the questions of the program in a terminal."""

import os
import pty
import subprocess

from tests.fork_server import run_program


def run_in_terminal(*arguments: object, typed: str) -> subprocess.CompletedProcess[str]:
    """Run the program with a terminal as its standard input, at which one line was typed."""
    keyboard, terminal = pty.openpty()
    with os.fdopen(keyboard, "wb", buffering=0) as keys, os.fdopen(terminal, "rb", buffering=0) as stdin:
        keys.write(f"{typed}\n".encode())
        return run_program(*map(str, arguments), environment=os.environ, stdin=stdin)
