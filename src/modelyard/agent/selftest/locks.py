"""Test whether locks exclude another process, and end with it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelyard.agent.doctor.findings import Finding
from modelyard.transfer.filesystem import open_locked

_RELEASE_SECONDS = 5.0
_LOCKED = "locked"


def check_locks(folder: Path) -> Iterator[Finding]:
    """Test that a file locked by another process cannot be locked, and can once that is killed; yield the finding."""
    file = folder / "file.part"
    with _start_holder(file) as holder:
        is_refused = not _can_lock(file)
        holder.kill()
        holder.wait()
        is_released = _wait_until_lockable(file)
    if not is_refused:
        sentence = "A file that another process has locked can be locked again."
        fix = "Use a disk with working locks; here, interrupted downloads begin anew."
        yield Finding("problem", "locks", sentence, fix)
    elif not is_released:
        sentence = f"A lock is still held {_RELEASE_SECONDS:.0f} s after its process was killed."
        yield Finding("problem", "locks", sentence, "Check the lock service of the file server.")
    else:
        yield Finding("ok", "locks", "A lock excludes another process, and ends when its process is killed.")


@contextmanager
def _start_holder(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that locks a file until it is killed, and wait until it has locked it.

    Raises:
        OSError: it could not lock the file.
    """
    command = [sys.executable, "-m", __name__, str(file)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as holder:
        try:
            if holder.stdout is None or holder.stdout.readline().strip() != _LOCKED:
                raise OSError("a new file could not be locked by a process of its own")
            yield holder
        finally:
            holder.kill()


def _can_lock(file: Path) -> bool:
    """Return whether the file can be locked now; it is unlocked again."""
    descriptor = open_locked(file)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def _wait_until_lockable(file: Path) -> bool:
    """Return whether the file can be locked within five seconds."""
    deadline = time.monotonic() + _RELEASE_SECONDS
    while not (is_lockable := _can_lock(file)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_lockable


def _hold_lock(file: Path) -> None:
    """Lock a file, print that, and hold the lock until standard input ends."""
    if open_locked(file) is not None:
        sys.stdout.write(f"{_LOCKED}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    _hold_lock(Path(sys.argv[1]))
