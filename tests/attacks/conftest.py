"""Fixtures of the attacked registry: in this process (``registry``), and as a process of its own (``server``)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import RunningServer
from tests.server.conftest import environments, registry, settings
from tests.server.environments import CLOSED_HOST, Environments

__all__ = ["environments", "registry", "server", "settings"]


@pytest.fixture(scope="module")
def server(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Run one server process for all tests of a module."""
    folder: Path = tmp_path_factory.mktemp("attacked")
    with environments.create_settings(folder) as settings:
        options = environments.get_program_settings(settings)
        server = RunningServer(settings.data_dir, port=0, webhook_hosts=CLOSED_HOST, **options)
        server.starts_as_users_do = True  # a test reads its command line
        with server:
            yield server
