import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.client.settings import ClientSettings
from tests.agent.agent_machine import AgentMachine
from tests.agent.local_api.push_client import CONTENT, sign_in
from tests.ports import free_port
from tests.running import RunningServer
from tests.server.harness import ApiCaller


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A registry that a test may kill and start again at the same address."""
    with RunningServer(tmp_path_factory.mktemp("registry") / "data", port=free_port()) as server:
        yield server


@pytest.fixture
def machine_folder() -> Iterator[Path]:
    """A folder with a short path: that of a socket is limited."""
    with tempfile.TemporaryDirectory(prefix="agent-") as folder:
        yield Path(folder)


@pytest.fixture
def new_machine(machine_folder: Path, registry: RunningServer, team: ApiCaller) -> Callable[..., AgentMachine]:
    """Create machines of the team, each with its own key and models folder."""

    def create_machine(name: str = "render-07", **settings: object) -> AgentMachine:
        credential = team.post("/credentials", kind="agent", display_name=name).json()
        return AgentMachine(
            machine_folder / name, registry.url, credential["raw_key"], name, credential["id"], settings
        )

    return create_machine


@pytest.fixture
def pushing_machine(new_machine: Callable[..., AgentMachine], machine_folder: Path) -> AgentMachine:
    """A machine whose user may sign in, with a file in its models folder that the team does not have."""
    machine = new_machine()
    client = ClientSettings(
        None, None, None, machine_folder / "profiles.json", machine_folder / "client", machine_folder / "cache"
    )
    file = machine.models / "loras/sub/mine.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    return replace(machine, client=client)


@pytest.fixture
def signed_in_machine(registry: RunningServer, team: ApiCaller, pushing_machine: AgentMachine) -> AgentMachine:
    """A machine like ``pushing_machine`` on which the owner of the team is signed in."""
    sign_in(registry, team, pushing_machine)
    return pushing_machine
