"""Runs one program and tells what it used; a program of its own, since a child's peak memory begins with its parent's.

``python -I -S launch.py FD COMMAND...`` writes ``status seconds cpu_seconds peak_kibibytes`` to the descriptor. It
imports next to nothing, so that its own few megabytes are below those of any program worth measuring.
"""

import os
import sys
import time


def main() -> None:
    told, command = int(sys.argv[1]), sys.argv[2:]
    began = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(child, 0)
    seconds = time.perf_counter() - began
    # What the children of the child used counts too: wait4 adds up those that it waited for.
    cpu_seconds = used.ru_utime + used.ru_stime
    os.write(told, f"{os.waitstatus_to_exitcode(status)} {seconds} {cpu_seconds} {used.ru_maxrss}".encode())


if __name__ == "__main__":
    main()
