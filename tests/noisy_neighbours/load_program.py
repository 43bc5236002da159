"""Run a program of this folder that sends load, in a process of its own: it must not slow the measurement down."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
# What each program prints once it sends.
READY_LINE = "sending\n"


@dataclass(frozen=True)
class ExpectedResponses:
    """Which statuses the requests of a program get, and how many of them at least. "none": a broken connection."""

    statuses: frozenset[str]
    minimum: int

    def check(self, counts: dict[str, int]) -> None:
        """Fail if other responses came, or too few: a load that the server refuses at once measures nothing."""
        assert counts.keys() <= self.statuses, counts
        assert sum(counts.values()) >= self.minimum, counts


@contextmanager
def sending(
    program: str, arguments: Sequence[str], expected: ExpectedResponses, lines: Sequence[str] = ()
) -> Iterator[None]:
    """Run ``tests.noisy_neighbours.<program>`` with these input lines during the block, which begins once it sends.

    Fails if the program ends before the block does, or got other responses than expected.
    """
    command = [sys.executable, "-m", f"tests.noisy_neighbours.{program}", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=REPOSITORY) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n".join(lines))
            process.stdin.close()
            assert process.stdout.readline() == READY_LINE
            yield
            assert process.poll() is None, f"{program} ended with {process.returncode}."
            process.terminate()
            expected.check(json.loads(process.stdout.readline()))
        finally:
            process.kill()
