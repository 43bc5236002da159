"""Answer the questions of the program in a terminal."""

import os
import pty
import subprocess
import sys

from tests.waiting import PATIENCE_SECONDS


def run_in_terminal(*arguments: str, typed: str) -> subprocess.CompletedProcess[str]:
    """Run the program with a terminal as its standard input, at which one line was typed."""
    keyboard, stdin = pty.openpty()
    os.write(keyboard, f"{typed}\n".encode())
    command = [sys.executable, "-m", "modelyard", *arguments]
    try:
        return subprocess.run(
            command, stdin=stdin, capture_output=True, text=True, check=False, timeout=2 * PATIENCE_SECONDS
        )
    finally:
        os.close(stdin)
        os.close(keyboard)
