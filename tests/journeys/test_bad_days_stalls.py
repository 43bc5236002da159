"""A bucket that takes requests and says nothing: for everybody, and for one team only."""

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

from tests.journeys.between import Exchange, Hold
from tests.journeys.disturbed import Disturbed, disturbed, is_alive
from tests.journeys.load import caller, is_honest_refusal
from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE
from tests.journeys.waiting import wait_for
from tests.postgres import RunningPostgres
from tests.seaweed import RunningSeaweed
from tests.server.world import Someone, a_model_file

# A server answers with so many threads; more calls than that have to hang, or be refused.
THREADS, HANGING = 40, 60
LISTS = 60
# Lists stay quick: at most so many times slower than before, and on a busy machine so much more.
TIMES_SLOWER, SECONDS_MORE = 4.0, 1.5


@pytest.fixture(scope="module")
def here(
    postgres_server: RunningPostgres, seaweed_server: RunningSeaweed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Disturbed]:
    folder = tmp_path_factory.mktemp("stalls")
    with disturbed(folder, postgres_server, seaweed_server, verification_workers="2") as here:
        yield here


@contextmanager
def stalled(here: Disturbed, is_stalled: Callable[[Exchange], bool]) -> Iterator[threading.Event]:
    """What the bucket is asked for, if it is of this kind, arrives after the block, or once it is let go."""
    let_go = threading.Event()
    here.between.rule = lambda exchange: Hold(let_go) if is_stalled(exchange) else None
    try:
        yield let_go
    finally:
        here.between.rule = None
        let_go.set()


def uploaded(who: Someone, count: int, size: int = 64) -> list[dict[str, Any]]:
    """The bodies that register files which are there already."""
    return [who.new_model(a_model_file(f"w{n}", size), f"loras/w{n}.safetensors") for n in range(count)]


def slowest(act: Callable[[], httpx2.Response]) -> float:
    """How long the slowest of many calls takes, in seconds: one that waits for the bucket's sake is found out."""
    longest = 0.0
    for _ in range(LISTS):
        begun = time.monotonic()
        assert act().status_code == 200
        longest = max(longest, time.monotonic() - begun)
    return longest


@contextmanager
def registering(here: Disturbed, who: Someone, bodies: list[dict[str, Any]]) -> Iterator[list[Future[httpx2.Response]]]:
    """All are registered at once, beside the block; afterwards all are answered."""

    def register(body: dict[str, Any]) -> httpx2.Response:
        with caller(here.server, who) as someone:
            return someone.post("/models", **body)

    with ThreadPoolExecutor(len(bodies)) as threads:
        yield [threads.submit(register, body) for body in bodies]


def wait_until_crowded(here: Disturbed, answers: list[Future[httpx2.Response]]) -> None:
    """Wait until those that may hang do so, and of the rest many are refused, if not all."""
    wait_for(lambda: held(here) + sum(answer.done() for answer in answers) >= THREADS)


def held(here: Disturbed) -> int:
    return sum(not each.is_over for each in list(here.between.exchanges))


def test_a_silent_bucket_holds_up_only_what_needs_it_and_a_push_ends_after_it(
    here: Disturbed, new_file: Callable[..., Path], tmp_path: Path
) -> None:
    team = here.new_team()
    bodies = uploaded(team, HANGING)
    before = slowest(lambda: team.get("/models"))
    program = Program(tmp_path / "home", here.server.url, team)
    with stalled(here, lambda _: True):
        push = program.start("push", new_file(MEBIBYTE), "--json")
        with registering(here, team, bodies) as answers:
            wait_until_crowded(here, answers)
            assert slowest(lambda: team.get("/models")) < TIMES_SLOWER * before + SECONDS_MORE
            assert is_alive(here.server)
        # None was answered before its time was over, and each says that it may be asked again.
        assert all(is_honest_refusal(answer.result()) for answer in answers)
        assert push.is_alive

    ended = push.end()
    assert ended.code == 0, ended
    assert [each["outcome"] for each in json.loads(ended.out)["files"]] == ["registered"]
    assert {team.post("/models", **body).status_code for body in bodies} == {201}
    wait_for(
        lambda: len(team.get("/models", verification="verified", per_page=100).json()["model_list"]) == HANGING + 1
    )


def test_a_bucket_that_is_silent_for_one_team_is_as_quick_as_before_for_another(here: Disturbed) -> None:
    stuck, free = here.new_team(), here.new_team()
    bodies, reading = uploaded(stuck, HANGING), uploaded(stuck, HANGING + 1, 3 * MEBIBYTE)[-1]
    before = slowest(lambda: free.get("/models"))
    with stalled(here, lambda exchange: str(stuck.team_id) in exchange.path and is_long(exchange)):
        # Its registration looks at the beginning of the file only; whoever reads all of it for verification hangs.
        assert stuck.post("/models", **reading).status_code == 201
        wait_for(lambda: held(here) > 0)
        registered = free.register(a_model_file("first"), "loras/first.safetensors")
        assert free.get(f"/models/{registered}").json()["verification"] == "verified"

    with (
        stalled(here, lambda exchange: str(stuck.team_id) in exchange.path) as let_go,
        registering(here, stuck, bodies) as answers,
    ):
        wait_until_crowded(here, answers)
        assert slowest(lambda: free.get("/models")) < TIMES_SLOWER * before + SECONDS_MORE
        for number in range(5):
            content = a_model_file(f"x{number}")
            registered = free.register(content, f"loras/x{number}.safetensors")
            assert free.get(f"/models/{registered}").json()["verification"] == "verified"
        let_go.set()


def is_long(exchange: Exchange) -> bool:
    """Whether it asks for a long stretch of a file."""
    if exchange.method != "GET" or exchange.range is None:
        return False
    start, _, end = exchange.range.removeprefix("bytes=").partition("-")
    return int(end) - int(start) > MEBIBYTE
