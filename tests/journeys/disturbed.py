"""A real server on PostgreSQL and SeaweedFS, with a bad network between it and its bucket, for it and for clients."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.journeys.between import Between
from tests.journeys.cable import Cable
from tests.journeys.large import large
from tests.journeys.load import Load
from tests.journeys.waiting import wait_for
from tests.postgres import RunningPostgres, free_port
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.world import Someone

# When what was away is back, the registry serves again without hands after this long at the latest.
RECOVERY_SECONDS = 20.0


@dataclass(frozen=True)
class Disturbed:
    """The server, and what leads to its bucket: first the cable, then what speaks HTTP."""

    server: RunningServer
    cable: Cable
    between: Between
    settings: dict[str, str]

    def new_team(self) -> Someone:
        """The owner in a new, empty team."""
        owner = self.server.owner()
        owner.team_id = owner.post("/teams", display_name="Bad days").json()["id"]
        return owner


@contextmanager
def disturbed(folder: Path, postgres: RunningPostgres, seaweed: RunningSeaweed, **settings: str) -> Iterator[Disturbed]:
    between = Between(seaweed.endpoint)
    with large(postgres, seaweed) as parts, Cable(int(between.url.rpartition(":")[2])) as cable:
        settings = parts | {"storage_endpoint": f"http://127.0.0.1:{cable.port}"} | settings
        with RunningServer(folder / "data", port=free_port(), **settings) as server:
            yield Disturbed(server, cable, between, settings)
            assert server.is_alive
            assert "unhandled error" not in server.log.read_text()
    between.close()


def is_alive(server: RunningServer) -> bool:
    """Whether it says so at once, whatever is away."""
    return httpx2.get(f"{server.url}/healthz", timeout=3, trust_env=False).status_code == 200


def readiness(server: RunningServer) -> httpx2.Response:
    return httpx2.get(f"{server.url}/readyz", timeout=40, trust_env=False)


def check_recovery(load: Load, server: RunningServer, mended: float) -> None:
    """Make sure that work goes on, and soon without refusals."""
    load.wait_for_rounds(6, RECOVERY_SECONDS)
    wait_for(lambda: readiness(server).status_code == 200, RECOVERY_SECONDS)
    assert load.last_refusal < mended + RECOVERY_SECONDS
