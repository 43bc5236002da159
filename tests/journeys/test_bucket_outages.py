"""Outages of the bucket of a real server under load: requests get a 503, no model is lost, the server recovers."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.journeys.client_load import ClientLoad
from tests.journeys.fault_proxy import RespondInstead
from tests.journeys.postgres_and_bucket import create_database_and_bucket
from tests.journeys.proxied_bucket import (
    ServerWithProxiedBucket,
    check_recovery,
    get_readiness,
    is_alive,
    run_server_with_proxied_bucket,
)
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.waiting import wait_until

BYTES_A_SECOND = 4096


@pytest.fixture(scope="module")
def bucket_setup(
    postgres_server: RunningPostgres, seaweed_server: RunningSeaweed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerWithProxiedBucket]:
    """One server for all tests of this file, which must survive all their outages."""
    with run_server_with_proxied_bucket(
        tmp_path_factory.mktemp("bad-days"), postgres_server, seaweed_server
    ) as bucket_setup:
        yield bucket_setup


class BucketError(NamedTuple):
    """The status and S3 error code of every response of the bucket, and what /readyz must say about them."""

    status: int
    code: str
    readyz_text: str


@contextmanager
def responding_with(bucket_setup: ServerWithProxiedBucket, error: BucketError) -> Iterator[None]:
    """Replace every response of the bucket by this error until the block ends."""
    body = f"<?xml version='1.0'?><Error><Code>{error.code}</Code><Message>No.</Message></Error>"
    bucket_setup.http_proxy.rule = lambda _: RespondInstead(error.status, body.encode())
    try:
        yield
    finally:
        bucket_setup.http_proxy.rule = None


def check_outage(bucket_setup: ServerWithProxiedBucket, outage: AbstractContextManager[None], readyz_text: str) -> None:
    """Run an outage under load; check /healthz, lists and /readyz during it, and recovery and lost models after it."""
    team = bucket_setup.server.create_team()
    with ClientLoad(bucket_setup.server, team) as load:
        load.wait_for_cycles(3)
        with outage:
            load.wait_for_refusals(6)
            assert is_alive(bucket_setup.server)
            assert team.get("/models").status_code == 200
            # A result is kept for a second; the outage may have begun later.
            wait_until(lambda: get_readiness(bucket_setup.server).status_code == 503)
            readiness = get_readiness(bucket_setup.server).json()
            assert readiness["database"] == "ok"
            assert readyz_text in readiness["store"]
        check_recovery(load, bucket_setup.server)
    load.check()


@pytest.mark.parametrize(
    "error",
    [
        BucketError(500, "InternalError", "failed"),
        BucketError(503, "SlowDown", "throttling requests"),
        BucketError(403, "RequestTimeTooSkewed", "denies access to this registry"),
        BucketError(404, "NoSuchBucket", "no such bucket"),
    ],
    ids=lambda error: error.code,
)
def test_bucket_error_responses_make_server_unready_and_lose_no_model(
    bucket_setup: ServerWithProxiedBucket, error: BucketError
) -> None:
    check_outage(bucket_setup, responding_with(bucket_setup, error), error.readyz_text)


def test_bucket_refusing_connections_makes_server_unready_and_loses_no_model(
    bucket_setup: ServerWithProxiedBucket,
) -> None:
    check_outage(bucket_setup, bucket_setup.tcp_proxy.disconnected(), "does not answer")


def test_bucket_throttled_to_4_kib_a_second_loses_no_model(bucket_setup: ServerWithProxiedBucket) -> None:
    with ClientLoad(bucket_setup.server, bucket_setup.server.create_team()) as load:
        load.wait_for_cycles(3)
        with bucket_setup.tcp_proxy.throttled(BYTES_A_SECOND):
            load.wait_for_cycles(3)
            assert is_alive(bucket_setup.server)
        check_recovery(load, bucket_setup.server)
    load.check()


def test_server_start_without_bucket_succeeds_and_becomes_ready_when_bucket_returns(
    postgres_server: RunningPostgres,
    seaweed_server: RunningSeaweed,
    bucket_setup: ServerWithProxiedBucket,
    tmp_path: Path,
) -> None:
    with create_database_and_bucket(postgres_server, seaweed_server) as settings:
        settings["storage_endpoint"] = f"http://127.0.0.1:{bucket_setup.tcp_proxy.port}"
        with bucket_setup.tcp_proxy.disconnected():
            server = RunningServer(tmp_path / "data", port=0, **settings)
            server.start()
            try:
                assert server.owner().get("/models").status_code == 200
                assert get_readiness(server).json()["store_capabilities"] == {}
            except BaseException:
                server.kill()
                raise
        with killing_afterwards(server):
            server.owner().register()
            wait_until(lambda: get_readiness(server).status_code == 200)
            assert get_readiness(server).json()["store_capabilities"]["refuses_overwrite"]


@contextmanager
def killing_afterwards(server: RunningServer) -> Iterator[None]:
    """Kill the server when the block ends."""
    try:
        yield
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("wrong_settings", "message"),
    [
        ({"storage_access_key": "wrong"}, "MODELYARD_STORAGE_ACCESS_KEY"),
        ({"storage_secret_key": "x" * 20}, "MODELYARD_STORAGE_SECRET_KEY"),
        ({"storage_url": "s3://no-such-bucket/studio"}, "There is no such bucket"),
    ],
    ids=["access key", "secret key", "bucket"],
)
def test_server_start_with_wrong_key_or_bucket_fails_naming_the_setting_without_traceback(
    wrong_settings: dict[str, str], message: str, seaweed_server: RunningSeaweed, tmp_path: Path
) -> None:
    settings = {
        "storage_url": "s3://anything/studio",
        "storage_endpoint": seaweed_server.endpoint,
        "storage_access_key": seaweed_server.access_key,
        "storage_secret_key": seaweed_server.secret_key,
    } | wrong_settings
    server = RunningServer(tmp_path / "data", port=0, **settings)
    with pytest.raises(AssertionError, match=message):
        server.start()
    log = server.log.read_text()
    assert "Traceback" not in log
    assert seaweed_server.secret_key not in log
