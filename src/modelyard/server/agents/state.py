"""What one process remembers about machines, as ``app.state.fleet``."""

from typing import Annotated

from fastapi import Depends, Request

from modelyard.server.agents.demand import Demand
from modelyard.server.agents.manifest import Manifests
from modelyard.server.agents.waiting import Waiting
from modelyard.server.database.session import Database


class Fleet:
    """Manifests that were made, machines that wait, and how many models each label set asks for."""

    def __init__(self, database: Database) -> None:
        self.waiting = Waiting(database)
        self.manifests = Manifests(database, self.waiting)
        self.demand = Demand()


async def open_fleet(request: Request) -> Fleet:
    fleet: Fleet = request.app.state.fleet
    return fleet


FleetState = Annotated[Fleet, Depends(open_fleet)]
