"""A registry whose trash is emptied at once."""

from collections.abc import Iterator

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT, Environments
from tests.server.garbage.garbage_team import GarbageTeam
from tests.server.harness import Harness


@pytest.fixture(scope="session")
def registry_without_retention(
    environments: Environments, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Harness]:
    """A registry with a trash retention of 0 days, whose jobs run."""
    with (
        environments.create_settings(tmp_path_factory.mktemp("registry_without_retention"), trash_days=0) as settings,
        open_resources(settings, Identity(CHEAP), PATIENT) as resources,
        Harness(resources) as registry,
    ):
        yield registry


@pytest.fixture
def team(registry_without_retention: Harness) -> Iterator[GarbageTeam]:
    """A new team of that registry; its rows and objects are deleted after the test."""
    team = GarbageTeam(registry_without_retention)
    yield team
    team.clear()
