"""Bad days of PostgreSQL, with a real server and clients at work: it says so, loses nothing, and comes back alone."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import psycopg
import pytest

from tests.journeys.cable import Cable
from tests.journeys.large import large
from tests.journeys.load import Load
from tests.journeys.waiting import wait_for
from tests.postgres import RunningPostgres, free_port
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.database.cutting import Cutting
from tests.server.world import Someone

FEW_CONNECTIONS = 30
LOST_COMMITS = 12
# When what was away is back, the registry serves again without hands after this long at the latest.
RECOVERY_SECONDS = 20.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[RunningPostgres]:
    with RunningPostgres(max_connections=FEW_CONNECTIONS) as server:
        yield server


@pytest.fixture(scope="module")
def cutting(postgres: RunningPostgres) -> Iterator[Cutting]:
    with Cutting(postgres.port) as cutting:
        yield cutting


@pytest.fixture(scope="module")
def cable(cutting: Cutting) -> Iterator[Cable]:
    with Cable(cutting.port) as cable:
        yield cable


@pytest.fixture(scope="module")
def server(
    postgres: RunningPostgres,
    cable: Cable,
    seaweed_server: RunningSeaweed,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningServer]:
    """One server for all of this file, which has to live through all of it."""
    with large(postgres, seaweed_server) as settings:
        settings["database_url"] = settings["database_url"].replace(f":{postgres.port}/", f":{cable.port}/")
        with RunningServer(tmp_path_factory.mktemp("bad-days") / "data", port=free_port(), **settings) as server:
            yield server
            assert server.is_alive
            assert "unhandled error" not in server.log.read_text()


@pytest.fixture
def team(server: RunningServer) -> Someone:
    owner = server.owner()
    owner.team_id = owner.post("/teams", display_name="Bad days").json()["id"]
    return owner


def is_alive(server: RunningServer) -> bool:
    """Whether it says so at once, whatever is away."""
    return httpx2.get(f"{server.url}/healthz", timeout=3, trust_env=False).status_code == 200


def check_recovery(load: Load, server: RunningServer, mended: float) -> None:
    """Make sure that work goes on, and soon without refusals."""
    load.wait_for_rounds(6, RECOVERY_SECONDS)
    wait_for(lambda: httpx2.get(f"{server.url}/readyz", timeout=10, trust_env=False).status_code == 200)
    assert load.last_refusal < mended + RECOVERY_SECONDS


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast stop", "crash"])
def test_a_database_that_is_restarted_under_load_loses_nothing(
    server: RunningServer, team: Someone, postgres: RunningPostgres, how: signal.Signals
) -> None:
    with Load(server, team) as load:
        load.wait_for_rounds(3)
        postgres.stop(how)
        load.wait_for_refusals(6)
        assert is_alive(server)
        ready = httpx2.get(f"{server.url}/readyz", timeout=10, trust_env=False)
        assert (ready.status_code, ready.json()["status"], ready.headers["Retry-After"]) == (503, "not ready", "5")
        postgres.start()
        check_recovery(load, server, time.monotonic())
    load.check()


def test_a_database_that_falls_silent_is_waited_for_and_loses_nothing(
    server: RunningServer, team: Someone, cable: Cable
) -> None:
    with Load(server, team) as load:
        load.wait_for_rounds(3)
        with cable.frozen():
            wait_until_nothing_moves(load)
            assert is_alive(server)
        check_recovery(load, server, time.monotonic())
    load.check()


def wait_until_nothing_moves(load: Load) -> None:
    rounds, since = load.rounds, time.monotonic()
    while time.monotonic() - since < 1.0:
        if load.rounds != rounds:
            rounds, since = load.rounds, time.monotonic()
        time.sleep(0.005)


def test_a_database_without_a_free_connection_is_told_so_and_serves_when_there_is_one(
    server: RunningServer, team: Someone, postgres: RunningPostgres
) -> None:
    # What the server has it keeps: a restart makes it ask for connections anew, and others are quicker.
    postgres.stop()
    with Load(server, team) as load, ExitStack() as others:
        load.wait_for_refusals(3)
        postgres.start()
        take_all(postgres, others)
        load.wait_for_refusals(6)
        assert is_alive(server)
        others.close()
        check_recovery(load, server, time.monotonic())
    load.check()
    assert '"crowded"' in server.log.read_text()


def take_all(postgres: RunningPostgres, others: ExitStack) -> None:
    """Have every connection there is, those too that the server gives back."""
    ends = time.monotonic() + 30
    refused = 0
    while refused < 3:
        assert time.monotonic() < ends, "There is always another connection."
        try:
            others.enter_context(psycopg.connect(postgres.url(), autocommit=True)).execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'"
            )
            refused = 0
        except psycopg.OperationalError:
            refused += 1


def test_commits_whose_answers_are_lost_are_done_once_each(
    server: RunningServer, team: Someone, cutting: Cutting
) -> None:
    with Load(server, team) as load:
        load.wait_for_rounds(3)
        for _ in range(LOST_COMMITS):
            cutting.lose_next_commit()
            assert cutting.has_cut.wait(20)
        load.wait_for_rounds(3)
    load.check()
    assert load.refusals.total() > 0


def test_a_server_whose_database_is_down_refuses_to_start_in_words(tmp_path: Path) -> None:
    url = "postgresql://modelyard:not-to-be-seen@127.0.0.1:1/registry"
    server = RunningServer(tmp_path / "data", database_url=url)
    with pytest.raises(AssertionError, match="The database does not answer"):
        server.start()
    said = server.log.read_text()
    assert "Traceback" not in said
    assert "not-to-be-seen" not in said
