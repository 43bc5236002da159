"""The state about machines that one process keeps in memory, as ``app.state.fleet``."""

from typing import Annotated

from fastapi import Depends, Request

from modelyard.server.agents.desired_counts import DesiredCounts
from modelyard.server.agents.manifest import ManifestCache
from modelyard.server.agents.manifest_waiters import ManifestWaiters
from modelyard.server.database.session import Database
from modelyard.server.http.waiting.places import WaitingPlaces


class Fleet:
    """The manifest cache, the requests that wait for a manifest, their places, and the counts of desired models."""

    def __init__(self, database: Database, places: WaitingPlaces) -> None:
        self.places = places
        self.waiters = ManifestWaiters(database)
        self.manifests = ManifestCache(database, self.waiters, places)
        self.desired_counts = DesiredCounts()


async def get_fleet(request: Request) -> Fleet:
    """Return the state about machines that this process keeps."""
    fleet: Fleet = request.app.state.fleet
    return fleet


FleetState = Annotated[Fleet, Depends(get_fleet)]
