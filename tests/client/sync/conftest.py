import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.client.sync.holding.holdings import Machine
from modelyard.client.sync.holding.index import Index
from modelyard.client.sync.holding.journal import Journal
from modelyard.client.sync.holding.state import StateFile
from tests.client.sync.real import RealMachine, Store
from tests.client.sync.yard import Yard
from tests.transfer.misbehaving import MisbehavingServer


@pytest.fixture
def store() -> Iterator[Store]:
    server = MisbehavingServer()
    yield Store(server)
    server.close()


@pytest.fixture
def machine(tmp_path: Path, store: Store) -> RealMachine:
    return RealMachine(tmp_path / "models", tmp_path / "state", store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    (tmp_path / "models").mkdir()
    with StateFile(tmp_path / "state" / "agent.sqlite") as state:
        yield Yard(tmp_path / "models", Machine("agent", Index(state), Journal(state)), [])
