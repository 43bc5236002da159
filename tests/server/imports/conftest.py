"""Registries that import from fakes of the sources."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from tests.server.conftest import CHEAP
from tests.server.environments import Environments
from tests.server.harness import Harness
from tests.server.imports.fake_sources import FakeSources, run_fake_sources
from tests.server.imports.stopped import Stopped


@pytest.fixture
def fakes() -> Iterator[FakeSources]:
    """New fakes of Hugging Face, Civitai and their storage."""
    with run_fake_sources() as fakes:
        yield fakes


@pytest.fixture
def settings(environments: Environments, tmp_path: Path, fakes: FakeSources) -> Iterator[Settings]:
    """Settings of an empty registry that imports from the fakes."""
    with environments.create_settings(tmp_path, **fakes.settings) as settings:
        yield settings


@pytest.fixture
def stopped(settings: Settings) -> Iterator[Stopped]:
    """A registry that runs no imports by itself."""
    with open_resources(settings, Identity(CHEAP)) as resources, Harness.without_jobs(resources) as registry:
        yield Stopped(registry, resources)
