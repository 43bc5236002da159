"""Bad days of a bucket, with a real server and clients at work: refusals in words, nothing lost, back without hands."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.journeys.between import AnswerInstead
from tests.journeys.disturbed import Disturbed, check_recovery, disturbed, is_alive, readiness
from tests.journeys.large import large
from tests.journeys.load import Load
from tests.journeys.waiting import wait_for
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed

BYTES_A_SECOND = 4096


@pytest.fixture(scope="module")
def here(
    postgres_server: RunningPostgres, seaweed_server: RunningSeaweed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Disturbed]:
    """One server for all of this file, which has to live through all of it."""
    with disturbed(tmp_path_factory.mktemp("bad-days"), postgres_server, seaweed_server) as here:
        yield here


class Ill(NamedTuple):
    """What the bucket answers to everything, and a word of what /readyz makes of it."""

    status: int
    code: str
    word: str


@contextmanager
def answering(here: Disturbed, ill: Ill) -> Iterator[None]:
    body = f"<?xml version='1.0'?><Error><Code>{ill.code}</Code><Message>No.</Message></Error>"
    here.between.rule = lambda _: AnswerInstead(ill.status, body.encode())
    try:
        yield
    finally:
        here.between.rule = None


def check_outage(here: Disturbed, outage: AbstractContextManager[None], word: str) -> None:
    """Go through an outage with clients at work."""
    team = here.new_team()
    with Load(here.server, team) as load:
        load.wait_for_rounds(3)
        with outage:
            load.wait_for_refusals(6)
            assert is_alive(here.server)
            assert team.get("/models").status_code == 200
            ready = readiness(here.server)
            assert (ready.status_code, ready.json()["database"]) == (503, "ok")
            assert word in ready.json()["store"]
        check_recovery(load, here.server, time.monotonic())
    load.check()


@pytest.mark.parametrize(
    "ill",
    [
        Ill(500, "InternalError", "failed"),
        Ill(503, "SlowDown", "fewer requests"),
        Ill(403, "RequestTimeTooSkewed", "let this registry in"),
        Ill(404, "NoSuchBucket", "no such bucket"),
    ],
    ids=lambda ill: ill.code,
)
def test_a_bucket_that_answers_ill_loses_nothing(here: Disturbed, ill: Ill) -> None:
    check_outage(here, answering(here, ill), ill.word)


def test_a_bucket_that_refuses_connections_loses_nothing(here: Disturbed) -> None:
    check_outage(here, here.cable.unplugged(), "does not answer")


def test_a_very_slow_bucket_is_waited_for(here: Disturbed) -> None:
    with Load(here.server, here.new_team()) as load:
        load.wait_for_rounds(3)
        with here.cable.slowed(BYTES_A_SECOND):
            load.wait_for_rounds(3)
            assert is_alive(here.server)
        check_recovery(load, here.server, time.monotonic())
    load.check()


def test_a_server_whose_bucket_is_away_starts_and_is_ready_when_it_is_back(
    postgres_server: RunningPostgres, seaweed_server: RunningSeaweed, here: Disturbed, tmp_path: Path
) -> None:
    with large(postgres_server, seaweed_server) as settings:
        settings["storage_endpoint"] = f"http://127.0.0.1:{here.cable.port}"
        with here.cable.unplugged():
            server = RunningServer(tmp_path / "data", port=0, **settings)
            server.start()
            try:
                assert server.owner().get("/models").status_code == 200
                assert readiness(server).json()["store_honesty"] == {}
            except BaseException:
                server.kill()
                raise
        with server_ended(server):
            server.owner().register()
            wait_for(lambda: readiness(server).status_code == 200)
            assert readiness(server).json()["store_honesty"]["refuses_overwrite"]


@contextmanager
def server_ended(server: RunningServer) -> Iterator[None]:
    try:
        yield
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"storage_access_key": "nobody"}, "MODELYARD_STORAGE_ACCESS_KEY"),
        ({"storage_secret_key": "x" * 20}, "MODELYARD_STORAGE_SECRET_KEY"),
        ({"storage_url": "s3://no-such-bucket/studio"}, "There is no such bucket"),
    ],
    ids=["access key", "secret key", "bucket"],
)
def test_a_bucket_that_lets_nobody_in_is_a_refusal_to_start_in_words(
    changed: dict[str, str], words: str, seaweed_server: RunningSeaweed, tmp_path: Path
) -> None:
    settings = {
        "storage_url": "s3://anything/studio",
        "storage_endpoint": seaweed_server.endpoint,
        "storage_access_key": seaweed_server.access_key,
        "storage_secret_key": seaweed_server.secret_key,
    } | changed
    server = RunningServer(tmp_path / "data", port=0, **settings)
    with pytest.raises(AssertionError, match=words):
        server.start()
    said = server.log.read_text()
    assert "Traceback" not in said
    assert seaweed_server.secret_key not in said
