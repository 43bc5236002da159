"""A registry that all tests of a folder share, because opening one is slow; tests create their own users."""

from collections.abc import Iterator

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT, Environments
from tests.server.harness import Harness


@pytest.fixture(scope="session")
def registry(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with (
        environments.create_settings(tmp_path_factory.mktemp("registry")) as settings,
        open_resources(settings, Identity(CHEAP), PATIENT) as resources,
        Harness(resources) as registry,
    ):
        yield registry
