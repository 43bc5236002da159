"""Registries in this process for tests: the real application with a real database and store."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import argon2
import pytest

from modelyard.server.identity.passwords import PasswordHasher
from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from tests.postgres import RunningPostgres
from tests.server.environments import PARTS, PATIENT, Environments, create_migrated_file
from tests.server.harness import ApiCaller, Harness
from tests.server.sandbox_imports import broken_sandbox, imports_forbidden_in_sandboxes

__all__ = ["broken_sandbox"]

# The production algorithm with the lowest possible cost.
CHEAP = PasswordHasher(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture(scope="session", autouse=True)
def _no_imports_in_sandboxes() -> Iterator[None]:
    with imports_forbidden_in_sandboxes():
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, migrated database of each kind."""
    if request.param == "sqlite":
        yield create_migrated_file(tmp_path / "registry.sqlite3")
        return
    postgres: RunningPostgres = request.getfixturevalue("postgres_server")
    with postgres.database(request.getfixturevalue("postgres_template")) as url:
        yield url


@pytest.fixture(scope="module")
def registry_without_jobs(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A registry without running jobs, such as one that looks for the content of models inserted as rows."""
    with (
        environments.create_settings(tmp_path_factory.mktemp("without_jobs")) as settings,
        open_resources(settings, Identity(CHEAP)) as resources,
        Harness.without_jobs(resources) as registry,
    ):
        yield registry


@pytest.fixture(scope="session")
def environments(request: pytest.FixtureRequest) -> Iterator[Environments]:
    """Databases and stores of this run, selected by ``MODELYARD_TEST_ON``."""
    postgres, template, storage = None, "", dict[str, Any]()
    with ExitStack() as stack:
        if "postgresql" in PARTS:
            postgres = request.getfixturevalue("postgres_server")
            template = request.getfixturevalue("postgres_template")
        if "s3" in PARTS:
            seaweed = request.getfixturevalue("seaweed_server")
            storage = {
                "storage_url": f"s3://{stack.enter_context(seaweed.bucket())}",
                "storage_endpoint": seaweed.endpoint,
                "storage_access_key": seaweed.access_key,
                "storage_secret_key": seaweed.secret_key,
            }
        yield Environments(postgres, template, storage)


@pytest.fixture
def settings(environments: Environments, tmp_path: Path) -> Iterator[Settings]:
    """Settings of an empty registry; tests override this fixture for other settings."""
    with environments.create_settings(tmp_path) as settings:
        yield settings


@pytest.fixture
def registry(settings: Settings) -> Iterator[Harness]:
    """A running registry with an owner and a team."""
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources, Harness(resources) as registry:
        yield registry


@pytest.fixture(scope="session")
def shared_registry(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A registry that many tests share, each in its own teams, because opening one takes a second."""
    with (
        environments.create_settings(tmp_path_factory.mktemp("shared"), part_size=5_242_880) as settings,
        open_resources(settings, Identity(CHEAP), PATIENT) as resources,
        Harness(resources) as registry,
    ):
        yield registry


@pytest.fixture(scope="module")
def module_settings(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of the registry that the tests of one module share; tests override this fixture for other settings."""
    with environments.create_settings(tmp_path_factory.mktemp("module")) as settings:
        yield settings


@pytest.fixture(scope="module")
def module_registry(module_settings: Settings) -> Iterator[Harness]:
    """A registry that the tests of one module share."""
    with open_resources(module_settings, Identity(CHEAP), PATIENT) as resources, Harness(resources) as registry:
        yield registry


@pytest.fixture
def team(shared_registry: Harness) -> ApiCaller:
    """The owner of a new, empty team in the shared registry."""
    return shared_registry.create_team()
