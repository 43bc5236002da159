"""A flood: a program that sends one team's expensive requests in a process of its own, and what must come of it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.neighbours.latency import Measured

REPOSITORY = Path(__file__).parents[2]
# What each program prints once it sends.
READY_LINE = "sending\n"
Counts = dict[str, int]


class FloodFailedError(Exception):
    """The flood was not sent, or not handled: latencies beside it would say nothing."""


def accept_any_end() -> None:
    """Do nothing: the ``check_end`` of a flood without an end."""


@dataclass(frozen=True)
class Flood:
    """A flood that is ready to be sent, and the requests of another team that are measured meanwhile.

    ``program`` is a module of this folder, which gets ``lines`` as its input. ``statuses`` are those that its requests
    may get ("none": a broken connection), ``expected`` the ones of which at least one must come. ``check_end`` raises
    ``FloodFailedError`` if the flood was over before the measurement.
    """

    requests: Sequence[Measured]
    program: str
    arguments: Sequence[str]
    statuses: frozenset[str]
    expected: frozenset[str]
    lines: Sequence[str] = ()
    check_end: Callable[[], None] = accept_any_end


@contextmanager
def send_flood(flood: Flood) -> Iterator[Counts]:
    """Send a flood during the block, which begins once it is sent; yield how often each status came, known at the end.

    Raises:
        FloodFailedError: the program ended before the block did, or got no response or other ones than expected.
    """
    command = [sys.executable, "-m", f"bench.neighbours.{flood.program}", *flood.arguments]
    pipe, counts = subprocess.PIPE, Counts()
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=REPOSITORY) as process:
        try:
            _begin(process, flood)
            yield counts
            if process.poll() is not None:
                raise FloodFailedError(f"{flood.program} ended with {process.returncode}")
            flood.check_end()
            process.terminate()
            counts |= _read_counts(process, flood)
        finally:
            process.kill()


def _begin(process: "subprocess.Popen[str]", flood: Flood) -> None:
    """Send the program its input, and wait until it sends; raises ``FloodFailedError`` if it does not."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n".join(flood.lines))
    process.stdin.close()
    if process.stdout.readline() != READY_LINE:
        raise FloodFailedError(f"{flood.program} did not start")


def _read_counts(process: "subprocess.Popen[str]", flood: Flood) -> Counts:
    """Return how often each status came; raises ``FloodFailedError`` if these are not the expected ones."""
    assert process.stdout is not None
    counts: Counts = json.loads(process.stdout.readline())
    if not counts.keys() <= flood.statuses or not counts.keys() & flood.expected:
        raise FloodFailedError(f"{flood.program} got {counts or 'no response'}, expected {sorted(flood.expected)}")
    return counts
