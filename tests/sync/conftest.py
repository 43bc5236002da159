"""Fixtures of the sync tests: a machine with real folders, a store that serves models, and a scanned folder."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.placement_journal import PlacementJournal
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.inventory.state_db import StateFile
from tests.sync.real_machine import ModelStore, RealMachine
from tests.sync.scanned_folder import ScannedFolder
from tests.transfer.faulty_server import FaultyServer


@pytest.fixture
def store() -> Iterator[ModelStore]:
    server = FaultyServer()
    yield ModelStore(server)
    server.close()


@pytest.fixture
def machine(tmp_path: Path, store: ModelStore) -> RealMachine:
    return RealMachine(tmp_path / "models", tmp_path / "state", store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 4 MiB and return its folder; needs root."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def scanned(tmp_path: Path) -> Iterator[ScannedFolder]:
    (tmp_path / "models").mkdir()
    with StateFile(tmp_path / "state" / "agent.sqlite") as state:
        yield ScannedFolder(tmp_path / "models", MachineState("agent", HashIndex(state), PlacementJournal(state)), [])
