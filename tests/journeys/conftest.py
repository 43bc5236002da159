from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.between import Between
from tests.journeys.program import Program
from tests.journeys.sizes import PART_SIZE, SINGLE_PUT_LIMIT
from tests.running import RunningServer
from tests.server.world import Someone
from tools.model_files import write_safetensors


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A registry of small parts, for all journeys; each works in a team of its own."""
    folder = tmp_path_factory.mktemp("registry") / "data"
    with RunningServer(folder, part_size=str(PART_SIZE), single_put_limit=str(SINGLE_PUT_LIMIT)) as server:
        yield server


@pytest.fixture
def team(registry: RunningServer) -> Someone:
    """The owner in a new, empty team."""
    owner = registry.owner()
    owner.team_id = owner.post("/teams", display_name="Journeys").json()["id"]
    return owner


@pytest.fixture
def between(registry: RunningServer) -> Iterator[Between]:
    between = Between(registry.url)
    yield between
    between.close()


@pytest.fixture
def modelyard(tmp_path: Path, between: Between, team: Someone) -> Program:
    """The program of the team's owner, which knows the registry by the proxy's address."""
    return Program(tmp_path / "home", between.url, team)


@pytest.fixture
def new_file(tmp_path: Path) -> Callable[..., Path]:
    """Makes a model file of so many bytes in a folder that says its type."""

    def made(size: int, name: str = "ink.safetensors") -> Path:
        file = tmp_path / "models" / "loras" / name
        write_safetensors(file, size)
        return file

    return made
