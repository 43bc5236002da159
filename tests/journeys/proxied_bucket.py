"""A real server on PostgreSQL and SeaweedFS whose bucket is reached through fault proxies, also by clients."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.journeys.client_load import ClientLoad
from tests.journeys.fault_proxy import FaultProxy
from tests.journeys.postgres_and_bucket import create_database_and_bucket
from tests.journeys.tcp_proxy import TcpProxy
from tests.ports import free_port
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.waiting import PATIENCE_SECONDS, wait_until

# Once an outage is over, the registry serves again by itself after this long at the latest.
RECOVERY_SECONDS = 2 * PATIENCE_SECONDS


@dataclass(frozen=True)
class ServerWithProxiedBucket:
    """A running server and the two proxies before its bucket: requests pass the TCP proxy, then the HTTP proxy."""

    server: RunningServer
    tcp_proxy: TcpProxy
    http_proxy: FaultProxy
    settings: dict[str, str]


@contextmanager
def run_server_with_proxied_bucket(
    folder: Path, postgres: RunningPostgres, seaweed: RunningSeaweed, **settings: str
) -> Iterator[ServerWithProxiedBucket]:
    """Run a server whose requests to its bucket pass both proxies; check at the end that it logged no crash."""
    proxy = FaultProxy(seaweed.endpoint)
    with (
        create_database_and_bucket(postgres, seaweed) as bucket_settings,
        TcpProxy(int(proxy.url.rpartition(":")[2])) as tcp_proxy,
    ):
        settings = bucket_settings | {"storage_endpoint": f"http://127.0.0.1:{tcp_proxy.port}"} | settings
        with RunningServer(folder / "data", port=free_port(), **settings) as server:
            yield ServerWithProxiedBucket(server, tcp_proxy, proxy, settings)
            assert server.is_alive
            assert "unhandled error" not in server.log.read_text()
    proxy.close()


def is_alive(server: RunningServer) -> bool:
    """Return whether ``/healthz`` answers 200, as it must during every outage."""
    return httpx2.get(f"{server.url}/healthz", timeout=PATIENCE_SECONDS, trust_env=False).status_code == 200


def get_readiness(server: RunningServer) -> httpx2.Response:
    return httpx2.get(f"{server.url}/readyz", timeout=40, trust_env=False)


def check_recovery(load: ClientLoad, server: RunningServer) -> None:
    """Wait until clients finish six cycles without a refusal, and the server is ready."""
    load.wait_until_recovered(6, RECOVERY_SECONDS)
    wait_until(lambda: get_readiness(server).status_code == 200, RECOVERY_SECONDS)
