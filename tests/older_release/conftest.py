"""An older release beside this checkout, with registries and machines of either."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.older_release.machine import Machine
from tests.running import RunningServer
from tools.older_release import install_commit


@pytest.fixture(scope="session")
def older_python() -> Path:
    """The interpreter that runs the older release."""
    return install_commit()


@pytest.fixture(scope="session")
def this_python() -> Path:
    """The interpreter that runs this checkout."""
    return Path(sys.executable)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RunningServer]:
    """A registry of this checkout."""
    with RunningServer(tmp_path / "data") as server:
        yield server


@pytest.fixture
def older_registry(tmp_path: Path, older_python: Path) -> Iterator[RunningServer]:
    """A registry of the older release."""
    server = RunningServer(tmp_path / "older-data")
    server.python = older_python
    with server:
        yield server


@pytest.fixture
def older_machine(tmp_path: Path, older_python: Path) -> Machine:
    """A machine with the older release, which is not paired."""
    return Machine(tmp_path / "render-07", older_python)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with this checkout, which is not paired."""
    return Machine(tmp_path / "render-07")
