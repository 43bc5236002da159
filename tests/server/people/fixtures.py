"""A registry for a whole folder of tests: people are cheap to add, a registry is not. Tests bring their own people."""

from collections.abc import Iterator

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.parts import opened
from tests.server.conftest import CHEAP
from tests.server.places import Places
from tests.server.world import World


@pytest.fixture(scope="session")
def world(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        places.fresh(tmp_path_factory.mktemp("registry")) as settings,
        opened(settings, Identity(CHEAP)) as parts,
        World(parts) as world,
    ):
        yield world
