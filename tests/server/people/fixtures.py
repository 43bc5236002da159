"""A registry for a whole folder of tests: people are cheap to add, a registry is not. Tests bring their own people."""

from collections.abc import Iterator

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.parts import opened
from modelyard.server.settings import Settings
from tests.server.conftest import CHEAP
from tests.server.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("registry") / "data", public_url="http://registry.test")
    with opened(settings, Identity(CHEAP)) as parts, World(parts) as world:
        yield world
