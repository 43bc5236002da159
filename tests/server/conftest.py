"""A real registry in this process: a real database, a real store, the real application."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import argon2
import pytest

from modelyard.server.identity.passwords import PasswordHasher
from modelyard.server.identity.state import Identity
from modelyard.server.parts import opened
from modelyard.server.settings import Settings
from tests.server.places import PARTS, Places, migrated_template
from tests.server.world import Someone, World

# The same method as in production, as cheap as it can be made.
CHEAP = PasswordHasher(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture(scope="session")
def places(request: pytest.FixtureRequest) -> Iterator[Places]:
    """Where the registries of this run keep what they have."""
    postgres, template, storage = None, "", dict[str, Any]()
    with ExitStack() as stack:
        if "postgresql" in PARTS:
            postgres = request.getfixturevalue("postgres_server")
            template = stack.enter_context(migrated_template(postgres))
        if "s3" in PARTS:
            seaweed = request.getfixturevalue("seaweed_server")
            storage = {
                "storage_url": f"s3://{stack.enter_context(seaweed.bucket())}",
                "storage_endpoint": seaweed.endpoint,
                "storage_access_key": seaweed.access_key,
                "storage_secret_key": seaweed.secret_key,
            }
        yield Places(postgres, template, storage)


@pytest.fixture
def settings(places: Places, tmp_path: Path) -> Iterator[Settings]:
    """A test overrides this fixture where it needs other settings."""
    with places.fresh(tmp_path) as settings:
        yield settings


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    """A running registry with an owner and a team."""
    with opened(settings, Identity(CHEAP)) as parts, World(parts) as world:
        yield world


@pytest.fixture(scope="session")
def shared_world(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A registry that many tests use one after the other, each in teams of its own: opening one takes a second."""
    with (
        places.fresh(tmp_path_factory.mktemp("shared"), part_size=5_242_880) as settings,
        opened(settings, Identity(CHEAP)) as parts,
        World(parts) as world,
    ):
        yield world


@pytest.fixture(scope="module")
def module_world(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A registry of one test module's own."""
    with (
        places.fresh(tmp_path_factory.mktemp("module")) as settings,
        opened(settings, Identity(CHEAP)) as parts,
        World(parts) as world,
    ):
        yield world


@pytest.fixture
def team(shared_world: World) -> Someone:
    """The owner of a fresh, empty team in the shared registry."""
    return shared_world.new_team()
