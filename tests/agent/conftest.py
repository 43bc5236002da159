from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent.box import Box
from tests.running import RunningServer
from tests.server.world import Someone


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("registry") / "data") as server:
        yield server


@pytest.fixture
def team(registry: RunningServer) -> Someone:
    """The owner in a new, empty team."""
    owner = registry.owner()
    owner.team_id = owner.post("/teams", display_name="Agents").json()["id"]
    return owner


@pytest.fixture
def new_box(tmp_path: Path, registry: RunningServer, team: Someone) -> Callable[..., Box]:
    """Makes machines of the team, each with a key and a models folder of its own."""

    def made(name: str = "render-07", **settings: object) -> Box:
        made_key = team.post("/credentials", kind="agent", display_name=name).json()
        return Box(tmp_path / name, registry.url, made_key["raw_key"], name, made_key["id"], settings)

    return made


@pytest.fixture
def box(new_box: Callable[..., Box]) -> Box:
    return new_box()
