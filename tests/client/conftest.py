"""Fixtures of the client tests: a running registry, a team of its own for each test, client settings and a pusher."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.push import Pusher
from modelyard.client.transfers.push_results import PushEvent
from tests.client.scripted_server import Responses, run_scripted_server
from tests.client.server_process import Server, Team, run_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with run_server(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def team(server: Server) -> Team:
    return server.new_team()


@pytest.fixture
async def registry(team: Team) -> AsyncIterator[RegistryApi]:
    async with team.registry() as registry:
        yield registry


@pytest.fixture
def settings(tmp_path: Path) -> ClientSettings:
    """Return the settings of a user who has never used the client."""
    home = tmp_path / "home"
    return ClientSettings(None, None, None, home / "profiles.json", home / "state", home / "cache")


@pytest.fixture
def events() -> list[PushEvent]:
    """Return the list to which ``pusher`` adds its events."""
    return []


@pytest.fixture
def pusher(registry: RegistryApi, settings: ClientSettings, events: list[PushEvent]) -> Pusher:
    return Pusher(registry, settings, events.append)


@pytest.fixture
def responses() -> Responses:
    return Responses()


@pytest.fixture
def url(responses: Responses) -> Iterator[str]:
    """The address of a server that sends the scripted responses."""
    with run_scripted_server(responses) as url:
        yield url
