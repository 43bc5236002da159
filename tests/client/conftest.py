from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from modelyard.client.registry import Registry
from modelyard.client.settings import ClientSettings
from tests.client.serving import Server, Team, served


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def team(server: Server) -> Team:
    return server.new_team()


@pytest.fixture
async def registry(team: Team) -> AsyncIterator[Registry]:
    async with team.registry() as registry:
        yield registry


@pytest.fixture
def settings(tmp_path: Path) -> ClientSettings:
    """The places of a user who has never used the client."""
    home = tmp_path / "home"
    return ClientSettings(None, None, None, home / "profiles.json", home / "state", home / "cache")
