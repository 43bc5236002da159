"""Measurements of processes: wall time, CPU time and peak memory."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2

LAUNCHER = Path(__file__).with_name("run_and_measure.py")


@dataclass(frozen=True)
class Measurement:
    """What one finished program used: seconds, and bytes of its largest resident set."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run_measured(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measurement:
    """Run a program to its end without showing its output, and return what it and its children used.

    Raises:
        RuntimeError: its exit code was not 0; the message has the end of its output.
    """
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    launcher_command = [sys.executable, "-I", "-S", str(LAUNCHER), str(write_end), *command]
    with subprocess.Popen(
        launcher_command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        pass_fds=[write_end],
    ) as process:
        os.close(write_end)
        output, _ = process.communicate()
    with os.fdopen(read_end, encoding="ascii") as report:
        status, seconds, cpu_seconds, peak = report.read().split() or ["1", "0", "0", "0"]
    if status != "0":
        raise RuntimeError(f"{command[0]} failed: {output.decode(errors='replace')[-2000:]}")
    return Measurement(float(seconds), float(cpu_seconds), int(peak) * 1024)


def read_peak_bytes(pid: int) -> int:
    """Return the peak resident memory of a running process, in bytes (Linux)."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def read_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a running process and of its children that have exited, in seconds (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def sync_disks() -> None:
    """Flush pending writes to the disks, so that no run is slowed by an earlier one."""
    os.sync()


def read_into_page_cache(path: Path) -> None:
    """Read a file into the page cache in small pieces, as a child process's peak memory begins with its parent's."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def wait_until_up(url: str, seconds: float) -> None:
    """Poll a URL until it answers 200.

    Raises:
        RuntimeError: it did not within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx2.get(url, trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} did not come up.")
