"""Outages of the PostgreSQL of a real server under load: requests get a 503, no model is lost, the server recovers."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import psycopg
import pytest

from tests.journeys.client_load import CLIENTS, ClientLoad
from tests.journeys.postgres_and_bucket import create_database_and_bucket
from tests.journeys.tcp_proxy import TcpProxy
from tests.ports import free_port
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.database.commit_proxy import CommitProxy
from tests.server.harness import ApiCaller
from tests.waiting import PATIENCE_SECONDS, wait_until

FEW_CONNECTIONS = 30
LOST_COMMITS = 12
# Once an outage is over, the registry serves again by itself after this long at the latest.
RECOVERY_SECONDS = 2 * PATIENCE_SECONDS


@pytest.fixture(scope="module")
def postgres() -> Iterator[RunningPostgres]:
    with RunningPostgres(max_connections=FEW_CONNECTIONS) as server:
        yield server


@pytest.fixture(scope="module")
def commit_proxy(postgres: RunningPostgres) -> Iterator[CommitProxy]:
    with CommitProxy(postgres.port) as commit_proxy:
        yield commit_proxy


@pytest.fixture(scope="module")
def tcp_proxy(commit_proxy: CommitProxy) -> Iterator[TcpProxy]:
    with TcpProxy(commit_proxy.port) as tcp_proxy:
        yield tcp_proxy


@pytest.fixture(scope="module")
def server(
    postgres: RunningPostgres,
    tcp_proxy: TcpProxy,
    seaweed_server: RunningSeaweed,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningServer]:
    """One server for all tests of this file, which must survive all their outages."""
    with create_database_and_bucket(postgres, seaweed_server) as settings:
        settings["database_url"] = settings["database_url"].replace(f":{postgres.port}/", f":{tcp_proxy.port}/")
        with RunningServer(tmp_path_factory.mktemp("bad-days") / "data", port=free_port(), **settings) as server:
            yield server
            assert server.is_alive
            assert "unhandled error" not in server.log.read_text()


@pytest.fixture
def team(server: RunningServer) -> ApiCaller:
    return server.create_team()


def is_alive(server: RunningServer) -> bool:
    """Return whether ``/healthz`` answers 200, as it must during every outage."""
    return httpx2.get(f"{server.url}/healthz", timeout=PATIENCE_SECONDS, trust_env=False).status_code == 200


def check_recovery(load: ClientLoad, server: RunningServer) -> None:
    """Wait until clients finish six cycles without a refusal, and the server is ready."""
    load.wait_until_recovered(6, RECOVERY_SECONDS)
    wait_until(lambda: httpx2.get(f"{server.url}/readyz", timeout=PATIENCE_SECONDS, trust_env=False).status_code == 200)


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGQUIT], ids=["fast stop", "crash"])
def test_postgresql_restart_under_load_returns_503_and_loses_no_model(
    server: RunningServer, team: ApiCaller, postgres: RunningPostgres, stop_signal: signal.Signals
) -> None:
    with ClientLoad(server, team) as load:
        load.wait_for_cycles(3)
        postgres.stop(stop_signal)
        load.wait_for_refusals(6)
        assert is_alive(server)
        readiness = httpx2.get(f"{server.url}/readyz", timeout=PATIENCE_SECONDS, trust_env=False)
        assert (readiness.status_code, readiness.json()["status"], readiness.headers["Retry-After"]) == (
            503,
            "not ready",
            "5",
        )
        postgres.start()
        check_recovery(load, server)
    load.check()


def test_postgresql_stalled_connections_under_load_lose_no_model(
    server: RunningServer, team: ApiCaller, tcp_proxy: TcpProxy
) -> None:
    with ClientLoad(server, team) as load:
        load.wait_for_cycles(3)
        with tcp_proxy.stalled():
            wait_until(lambda: tcp_proxy.held_chunks >= CLIENTS)
            assert is_alive(server)
        check_recovery(load, server)
    load.check()


def test_postgresql_without_free_connection_returns_503_until_one_is_free(
    server: RunningServer, team: ApiCaller, postgres: RunningPostgres
) -> None:
    # The server keeps the connections that it has: after a restart it must open new ones, and the test is faster.
    postgres.stop()
    with ClientLoad(server, team) as load, ExitStack() as connections:
        load.wait_for_refusals(3)
        postgres.start()
        open_all_connections(postgres, connections)
        load.wait_for_refusals(6)
        assert is_alive(server)
        connections.close()
        check_recovery(load, server)
    load.check()
    assert '"crowded"' in server.log.read_text()


def open_all_connections(postgres: RunningPostgres, connections: ExitStack) -> None:
    """Open every free connection, including those of the server's that this terminates."""
    refusals_in_a_row = 0

    def is_none_free() -> bool:
        nonlocal refusals_in_a_row
        try:
            connections.enter_context(psycopg.connect(postgres.url(), autocommit=True)).execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test_%'"
            )
            refusals_in_a_row = 0
        except psycopg.OperationalError:
            refusals_in_a_row += 1
        return refusals_in_a_row >= 3

    wait_until(is_none_free)


def test_postgresql_lost_commit_responses_register_each_model_once(
    server: RunningServer, team: ApiCaller, commit_proxy: CommitProxy
) -> None:
    with ClientLoad(server, team) as load:
        load.wait_for_cycles(3)
        for _ in range(LOST_COMMITS):
            commit_proxy.lose_next_commit()
            assert commit_proxy.has_lost_commit.wait(PATIENCE_SECONDS)
        load.wait_for_cycles(3)
    load.check()
    assert load.refusals.total() > 0


def test_server_start_without_database_fails_without_traceback_or_password(tmp_path: Path) -> None:
    url = "postgresql://modelyard:not-to-be-seen@127.0.0.1:1/registry"
    server = RunningServer(tmp_path / "data", database_url=url)
    with pytest.raises(AssertionError, match="The database does not answer"):
        server.start()
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "not-to-be-seen" not in log
