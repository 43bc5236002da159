from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent.agent_machine import AgentMachine
from tests.running import RunningServer
from tests.server.harness import ApiCaller


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("registry") / "data") as server:
        yield server


@pytest.fixture
def team(registry: RunningServer) -> ApiCaller:
    """The owner, acting in a new, empty team."""
    return registry.create_team("Agents")


@pytest.fixture
def new_machine(tmp_path: Path, registry: RunningServer, team: ApiCaller) -> Callable[..., AgentMachine]:
    """Create machines of the team, each with its own key and models folder."""

    def create_machine(name: str = "render-07", **settings: object) -> AgentMachine:
        credential = team.post("/credentials", kind="agent", display_name=name).json()
        return AgentMachine(tmp_path / name, registry.url, credential["raw_key"], name, credential["id"], settings)

    return create_machine


@pytest.fixture
def machine(new_machine: Callable[..., AgentMachine]) -> AgentMachine:
    return new_machine()
