"""Registries to clean up, on both set-ups."""

from collections.abc import Iterator

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.parts import opened
from tests.server.cleanup.litter import Litter
from tests.server.conftest import CHEAP
from tests.server.places import Places
from tests.server.verification.conftest import setup
from tests.server.world import World

__all__ = ["setup"]


@pytest.fixture(scope="session")
def tidy(setup: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A registry that keeps no trash, and whose chores run."""
    with (
        setup.fresh(tmp_path_factory.mktemp("tidy"), trash_days=0) as settings,
        opened(settings, Identity(CHEAP)) as parts,
        World(parts) as world,
    ):
        yield world


@pytest.fixture
def litter(tidy: World) -> Iterator[Litter]:
    """A fresh team of that registry; whatever a test leaves goes after it."""
    litter = Litter(tidy)
    yield litter
    litter.clear()
