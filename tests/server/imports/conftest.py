"""Registries that import from fakes of the sources."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.imports import import_leases, source_check_runs
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT, Environments
from tests.server.harness import Harness
from tests.server.imports.fake_sources import FakeSources, run_fake_sources
from tests.server.imports.stopped import Stopped


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try failed requests to a source again at once, instead of after 2, 4 and 8 seconds."""
    for module in (import_leases, source_check_runs):
        monkeypatch.setattr(module, "FIRST_PAUSE", timedelta())


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
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources, Harness.without_jobs(resources) as registry:
        yield Stopped(registry, resources)
