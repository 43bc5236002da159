"""Programs under measurement: their wall time, CPU time and peak memory."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCH = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Run:
    """One finished program. Seconds, and bytes of its largest resident set."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measured(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run a program to its end, quietly; what its children used counts too.

    Raises:
        RuntimeError: it failed; the text is what it wrote.
    """
    hears, told = os.pipe()
    os.set_inheritable(told, True)
    launched = [sys.executable, "-I", "-S", str(LAUNCH), str(told), *command]
    with subprocess.Popen(
        launched,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        pass_fds=[told],
    ) as process:
        os.close(told)
        said, _ = process.communicate()
    with os.fdopen(hears, encoding="ascii") as heard:
        status, seconds, cpu_seconds, peak = heard.read().split() or ["1", "0", "0", "0"]
    if status != "0":
        raise RuntimeError(f"{command[0]} failed: {said.decode(errors='replace')[-2000:]}")
    return Run(float(seconds), float(cpu_seconds), int(peak) * 1024)


def peak_bytes(pid: int) -> int:
    """The largest resident set that a running process has had (Linux)."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def cpu_seconds(pid: int) -> float:
    """The processor time of a running process and of its children that have ended (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def settle() -> None:
    """Let the disk finish what earlier runs left it, so that no run pays for another."""
    os.sync()


def warm(path: Path) -> None:
    """Bring a file into the page cache, piece by piece: a child's peak memory begins with that of its parent."""
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
