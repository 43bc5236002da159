"""Runs one program and reports its status, time, CPU time and peak memory to a file descriptor.

It is a program of its own because a child's peak memory begins with its parent's.

``python -I -S run_and_measure.py FD COMMAND...`` writes ``status seconds cpu_seconds peak_kibibytes`` to the
descriptor. It imports almost nothing, so that its own few megabytes are below those of any program worth measuring.
"""

import os
import sys
import time


def main() -> None:
    """Run the command, wait for it, and write its measurements to the descriptor."""
    report_descriptor, command = int(sys.argv[1]), sys.argv[2:]
    began = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    # wait4 includes the children that the program waited for.
    cpu_seconds = usage.ru_utime + usage.ru_stime
    os.write(
        report_descriptor, f"{os.waitstatus_to_exitcode(status)} {seconds} {cpu_seconds} {usage.ru_maxrss}".encode()
    )


if __name__ == "__main__":
    main()
