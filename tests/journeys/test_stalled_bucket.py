"""A bucket that accepts requests and never responds: for all teams, and for one team only."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.journeys.client_load import is_unavailable_problem, open_caller
from tests.journeys.command_line import CommandLine
from tests.journeys.fault_proxy import Exchange, HoldRequest
from tests.journeys.proxied_bucket import ServerWithProxiedBucket, is_alive, run_server_with_proxied_bucket
from tests.journeys.upload_sizes import MEBIBYTE
from tests.postgres import RunningPostgres
from tests.seaweed import RunningSeaweed
from tests.server.harness import ApiCaller, make_model_file
from tests.waiting import wait_until

# The number of the server's threads; of more calls than that, some must be refused while the bucket stalls.
THREADS, HANGING = 40, 60
LISTS = 60
# How much slower lists may become: this factor, plus these seconds for a busy machine.
TIMES_SLOWER, SECONDS_MORE = 4.0, 1.5


@pytest.fixture(scope="module")
def bucket_setup(
    postgres_server: RunningPostgres, seaweed_server: RunningSeaweed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerWithProxiedBucket]:
    folder = tmp_path_factory.mktemp("stalls")
    with run_server_with_proxied_bucket(
        folder, postgres_server, seaweed_server, verification_workers="2"
    ) as bucket_setup:
        yield bucket_setup


@contextmanager
def stalling(
    bucket_setup: ServerWithProxiedBucket, is_stalled: Callable[[Exchange], bool]
) -> Iterator[threading.Event]:
    """Hold matching requests to the bucket until the block ends or the yielded event is set."""
    release = threading.Event()
    bucket_setup.http_proxy.rule = lambda exchange: HoldRequest(release) if is_stalled(exchange) else None
    try:
        yield release
    finally:
        bucket_setup.http_proxy.rule = None
        release.set()


def upload_files(caller: ApiCaller, count: int, size: int = 64) -> list[dict[str, Any]]:
    """Upload ``count`` files and return the request bodies that register them."""
    return [caller.new_model(make_model_file(f"w{n}", size), f"loras/w{n}.safetensors") for n in range(count)]


def measure_slowest_call(call: Callable[[], httpx2.Response]) -> float:
    """Return the seconds of the slowest of 60 calls, so that a single call that waited for the bucket shows."""
    longest = 0.0
    for _ in range(LISTS):
        began = time.monotonic()
        assert call().status_code == 200
        longest = max(longest, time.monotonic() - began)
    return longest


@contextmanager
def registering(
    bucket_setup: ServerWithProxiedBucket, caller: ApiCaller, bodies: list[dict[str, Any]]
) -> Iterator[list[Future[httpx2.Response]]]:
    """Register all bodies at once on threads; the block ends when all have their response."""

    def register(body: dict[str, Any]) -> httpx2.Response:
        with open_caller(bucket_setup.server, caller) as own_caller:
            return own_caller.post("/models", **body)

    with ThreadPoolExecutor(len(bodies)) as threads:
        yield [threads.submit(register, body) for body in bodies]


def wait_until_threads_are_busy(
    bucket_setup: ServerWithProxiedBucket, responses: list[Future[httpx2.Response]]
) -> None:
    """Wait until as many calls as the server has threads are held by the proxy or have been refused."""
    wait_until(lambda: count_held_requests(bucket_setup) + sum(response.done() for response in responses) >= THREADS)


def count_held_requests(bucket_setup: ServerWithProxiedBucket) -> int:
    return sum(not each.is_over for each in list(bucket_setup.http_proxy.exchanges))


@pytest.mark.flaky(reason="compares the slowest list with the one before the stall; count lists that are held")
def test_stalled_bucket_keeps_lists_fast_and_push_completes_afterwards(
    bucket_setup: ServerWithProxiedBucket, new_file: Callable[..., Path], tmp_path: Path
) -> None:
    team = bucket_setup.server.create_team()
    bodies = upload_files(team, HANGING)
    before = measure_slowest_call(lambda: team.get("/models"))
    program = CommandLine(tmp_path / "home", bucket_setup.server.url, team)
    with stalling(bucket_setup, lambda _: True):
        push = program.start("push", new_file(MEBIBYTE), "--json")
        with registering(bucket_setup, team, bodies) as responses:
            wait_until_threads_are_busy(bucket_setup, responses)
            assert measure_slowest_call(lambda: team.get("/models")) < TIMES_SLOWER * before + SECONDS_MORE
            assert is_alive(bucket_setup.server)
        # Each was refused only after its timeout, with a Retry-After.
        assert all(is_unavailable_problem(response.result()) for response in responses)
        assert push.is_alive

    result = push.wait_for_exit()
    assert result.code == 0, result
    assert [each["outcome"] for each in json.loads(result.out)["files"]] == ["registered"]
    assert {team.post("/models", **body).status_code for body in bodies} == {201}
    wait_until(
        lambda: len(team.get("/models", verification="verified", per_page=100).json()["model_list"]) == HANGING + 1
    )


@pytest.mark.flaky(reason="compares the slowest list with the one before the stall; count lists that are held")
def test_bucket_stalled_for_one_team_keeps_another_team_fast(bucket_setup: ServerWithProxiedBucket) -> None:
    stalled_team, other_team = bucket_setup.server.create_team(), bucket_setup.server.stranger()
    bodies, large_body = upload_files(stalled_team, HANGING), upload_files(stalled_team, HANGING + 1, 3 * MEBIBYTE)[-1]
    before = measure_slowest_call(lambda: other_team.get("/models"))
    with stalling(
        bucket_setup, lambda exchange: str(stalled_team.team_id) in exchange.path and is_long_range(exchange)
    ):
        # The registration reads only the beginning of the file; the verification, which reads all of it, hangs.
        assert stalled_team.post("/models", **large_body).status_code == 201
        wait_until(lambda: count_held_requests(bucket_setup) > 0)
        registered = other_team.register(make_model_file("first"), "loras/first.safetensors")
        assert other_team.get(f"/models/{registered}").json()["verification"] == "verified"

    with (
        stalling(bucket_setup, lambda exchange: str(stalled_team.team_id) in exchange.path) as release,
        registering(bucket_setup, stalled_team, bodies) as responses,
    ):
        wait_until_threads_are_busy(bucket_setup, responses)
        assert measure_slowest_call(lambda: other_team.get("/models")) < TIMES_SLOWER * before + SECONDS_MORE
        for number in range(5):
            content = make_model_file(f"x{number}")
            registered = other_team.register(content, f"loras/x{number}.safetensors")
            assert other_team.get(f"/models/{registered}").json()["verification"] == "verified"
        release.set()


def is_long_range(exchange: Exchange) -> bool:
    """Return whether it requests more than one MiB of an object."""
    if exchange.method != "GET" or exchange.range is None:
        return False
    start, _, end = exchange.range.removeprefix("bytes=").partition("-")
    return int(end) - int(start) > MEBIBYTE
