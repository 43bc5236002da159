"""Push and pull of one large file over S3, against s5cmd, rclone, the AWS CLI and boto3 on the same SeaweedFS."""

import hashlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.processes import Measurement, read_into_page_cache, sync_disks
from bench.s3_environment import S3Environment
from bench.s3_results import Results, build_goals, build_tables
from bench.table import Goal, Table
from tests.seaweed import RunningSeaweed

Methods = dict[str, Callable[[], Measurement]]

# Shell commands that check a downloaded file; with `sync` it is also safe on the disk, as after a pull.
THEN_HASH, THEN_SYNC_AND_HASH = "sha256sum {file}", "sync {file}; sha256sum {file}"


def measure(home: Path, size: int, rounds: int) -> tuple[list[Table], list[Goal]]:
    """Run every method ``rounds`` times, in an order that rotates.

    One additional first round is not counted: it is slower, as its memory is used for the first time.
    """
    results = Results(size)
    with RunningSeaweed(volume_megabytes=1024) as seaweed:
        for number in range(rounds + 1):
            round_results = _run_round(S3Environment(home / f"round-{number}", size, seaweed), number)
            if number:
                results.add(round_results)
    return build_tables(results), build_goals(results)


def _run_round(environment: S3Environment, number: int) -> Results:
    """Measure pushes to a registry without verification workers, then the verification, then pulls of these files."""
    results = Results(environment.size)
    with environment:
        results.hashed.append(_measure_sha256(environment.size))
        with environment.registry(verification_workers=0):
            results.pushes = _run_alternately(environment, _list_push_methods(environment), number)
        with environment.registry(verification_workers=1) as server:
            results.verified_seconds.append(environment.measure_verification(server))
            results.pulls = _run_alternately(environment, _list_pull_methods(environment), number)
    return results


def _run_alternately(environment: S3Environment, methods: Methods, number: int) -> dict[str, list[Measurement]]:
    """Run each method once, beginning with another one each round."""
    results: dict[str, list[Measurement]] = {name: [] for name in methods}
    names = list(methods)
    begin = number % len(names)
    for name in names[begin:] + names[:begin]:
        for source in (environment.source, environment.hashed_source):
            read_into_page_cache(source)
        sync_disks()
        results[name].append(methods[name]())
    return results


def _list_push_methods(environment: S3Environment) -> Methods:
    """Return modelyard's and the peers' upload methods by name."""
    methods: Methods = {
        "modelyard push": partial(environment.push, environment.source),
        "modelyard push, hash known": partial(environment.push, environment.hashed_source),
    }
    return methods | {
        name: partial(environment.upload_with_peer, command)
        for name, command in environment.peers.upload_commands().items()
    }


def _list_pull_methods(environment: S3Environment) -> Methods:
    """Return modelyard's and the peers' download methods by name, with and without hashing."""
    commands = environment.peers.download_commands()
    methods: Methods = {"modelyard pull": environment.pull}
    for name in ("s5cmd", "s5cmd, as it comes"):
        methods[f"{name}, then sha256sum"] = partial(environment.download_with_peer, commands[name], THEN_HASH)
    methods["s5cmd, sync, then sha256sum"] = partial(
        environment.download_with_peer, commands["s5cmd"], THEN_SYNC_AND_HASH
    )
    return methods | {name: partial(environment.download_with_peer, command) for name, command in commands.items()}


def _measure_sha256(size: int) -> Measurement:
    """Measure SHA-256 of ``size`` bytes in memory on one thread."""
    chunk = bytes(2**20)
    digest = hashlib.sha256()
    began, cpu = time.perf_counter(), time.thread_time()
    for _ in range(size // len(chunk)):
        digest.update(chunk)
    return Measurement(time.perf_counter() - began, time.thread_time() - cpu, 0)
