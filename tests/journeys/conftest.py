from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.command_line import CommandLine
from tests.journeys.fault_proxy import FaultProxy
from tests.journeys.upload_sizes import PART_SIZE, SINGLE_PUT_LIMIT
from tests.running import RunningServer
from tests.server.harness import ApiCaller
from tools.model_files import write_safetensors


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One registry with small upload parts for all journeys; each journey uses a team of its own."""
    folder = tmp_path_factory.mktemp("registry") / "data"
    with RunningServer(folder, part_size=str(PART_SIZE), single_put_limit=str(SINGLE_PUT_LIMIT)) as server:
        yield server


@pytest.fixture
def team(registry: RunningServer) -> ApiCaller:
    """Return the owner as a caller in a new, empty team."""
    return registry.create_team()


@pytest.fixture
def proxy(registry: RunningServer) -> Iterator[FaultProxy]:
    proxy = FaultProxy(registry.url)
    yield proxy
    proxy.close()


@pytest.fixture
def modelyard(tmp_path: Path, proxy: FaultProxy, team: ApiCaller) -> CommandLine:
    """Return the command line of the team's owner, which reaches the registry through the proxy."""
    return CommandLine(tmp_path / "home", proxy.url, team)


@pytest.fixture
def new_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a model file of a size below ``models/loras``, so that its type is detected."""

    def write(size: int, name: str = "ink.safetensors") -> Path:
        file = tmp_path / "models" / "loras" / name
        write_safetensors(file, size)
        return file

    return write
