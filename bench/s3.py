"""Push and pull of one large file over S3, against s5cmd, rclone, the aws cli and boto3 on the same SeaweedFS."""

import hashlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.processes import Run, settle, warm
from bench.s3_results import Found, goals, tables
from bench.s3_round import Round
from bench.table import Goal, Table
from tests.seaweed import RunningSeaweed

Ways = dict[str, Callable[[], Run]]

# What people type to know that they have the right bytes; with `sync` they also have them after a power cut, as a pull
# does.
CHECKED, CHECKED_AND_KEPT = "sha256sum {file}", "sync {file}; sha256sum {file}"


def measure(home: Path, size: int, rounds: int) -> tuple[list[Table], list[Goal]]:
    """Every way in turn, ``rounds`` times, in an order that rotates.

    One round more than asked: the first pays for memory that the machine has not touched yet, and is left out.
    """
    found = Found(size)
    with RunningSeaweed(volume_megabytes=1024) as seaweed:
        for number in range(rounds + 1):
            this = _one_round(Round(home / f"round-{number}", size, seaweed), number)
            if number:
                found.add(this)
    return tables(found), goals(found)


def _one_round(ground: Round, number: int) -> Found:
    """Pushes to a registry that verifies nothing meanwhile, the verification, then pulls of what was pushed."""
    found = Found(ground.size)
    with ground:
        found.hashed.append(_hashed(ground.size))
        with ground.registry(verification_workers=0):
            found.pushes = _in_turn(ground, _pushes(ground), number)
        with ground.registry(verification_workers=1) as server:
            found.verified_seconds.append(ground.verified_seconds(server))
            found.pulls = _in_turn(ground, _pulls(ground), number)
    return found


def _in_turn(ground: Round, ways: Ways, number: int) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {name: [] for name in ways}
    names = list(ways)
    begin = number % len(names)
    for name in names[begin:] + names[:begin]:
        for source in (ground.source, ground.hashed_source):
            warm(source)
        settle()
        found[name].append(ways[name]())
    return found


def _pushes(ground: Round) -> Ways:
    ours: Ways = {
        "modelyard push": partial(ground.push, ground.source),
        "modelyard push, hash known": partial(ground.push, ground.hashed_source),
    }
    return ours | {name: partial(ground.copy_up, command) for name, command in ground.peers.up().items()}


def _pulls(ground: Round) -> Ways:
    down = ground.peers.down()
    ours: Ways = {"modelyard pull": ground.pull}
    for name in ("s5cmd", "s5cmd, as it comes"):
        ours[f"{name}, then sha256sum"] = partial(ground.copy_down, down[name], CHECKED)
    ours["s5cmd, sync, then sha256sum"] = partial(ground.copy_down, down["s5cmd"], CHECKED_AND_KEPT)
    return ours | {name: partial(ground.copy_down, command) for name, command in down.items()}


def _hashed(size: int) -> Run:
    """What SHA-256 of so many bytes costs one thread, if they come from nowhere."""
    piece = bytes(2**20)
    digest = hashlib.sha256()
    began, cpu = time.perf_counter(), time.thread_time()
    for _ in range(size // len(piece)):
        digest.update(piece)
    return Run(time.perf_counter() - began, time.thread_time() - cpu, 0)
