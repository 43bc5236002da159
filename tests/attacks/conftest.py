"""The registry under attack: in this process (``world``), and as a process of its own (``server``)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import RunningServer
from tests.server.conftest import places, settings, world
from tests.server.places import Places

__all__ = ["places", "server", "settings", "world"]


@pytest.fixture(scope="module")
def server(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One real process for all tests of a module."""
    folder: Path = tmp_path_factory.mktemp("attacked")
    with (
        places.fresh(folder) as settings,
        RunningServer(settings.data_dir, port=0, **places.named(settings)) as running,
    ):
        yield running
