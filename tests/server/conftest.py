"""A real registry in this process: real SQLite, a real folder, the real application."""

from collections.abc import Iterator
from pathlib import Path

import argon2
import pytest

from modelyard.server.identity.passwords import PasswordHasher
from modelyard.server.identity.state import Identity
from modelyard.server.parts import opened
from modelyard.server.settings import Settings
from tests.server.world import Someone, World

# The same method as in production, as cheap as it can be made.
CHEAP = PasswordHasher(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A test overrides this fixture where it needs other settings."""
    return Settings(data_dir=tmp_path / "data", public_url="http://registry.test")


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    """A running registry with an owner and a team."""
    with opened(settings, Identity(CHEAP)) as parts, World(parts) as world:
        yield world


@pytest.fixture(scope="session")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A registry that many tests use one after the other, each in teams of its own: opening one takes a second."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("shared") / "data", public_url="http://registry.test", part_size=5_242_880
    )
    with opened(settings, Identity(CHEAP)) as parts, World(parts) as world:
        yield world


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A registry of one test module's own."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("module") / "data", public_url="http://registry.test")
    with opened(settings, Identity(CHEAP)) as parts, World(parts) as world:
        yield world


@pytest.fixture
def team(shared_world: World) -> Someone:
    """The owner of a fresh, empty team in the shared registry."""
    return shared_world.new_team()
