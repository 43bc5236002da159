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
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.imports.fake_sources import FakeServers, FakeSources
from tests.server.imports.stopped import Stopped, delete_idle_imports
from tests.waiting import wait_until

# The smallest part size that the settings allow, so that files of some megabytes have several parts.
PART = 5_242_880


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try failed requests to a source again at once, instead of after 2, 4 and 8 seconds."""
    for module in (import_leases, source_check_runs):
        monkeypatch.setattr(module, "FIRST_PAUSE", timedelta())


@pytest.fixture(scope="module")
def fake_servers() -> Iterator[FakeServers]:
    """The servers of the fakes, which the tests of one module share."""
    with FakeServers().running() as servers:
        yield servers


@pytest.fixture
def fakes(fake_servers: FakeServers) -> FakeSources:
    """New fakes of Hugging Face, Civitai and their storage."""
    return fake_servers.create_sources()


@pytest.fixture
def settings(environments: Environments, tmp_path: Path, fakes: FakeSources) -> Iterator[Settings]:
    """Settings of an empty registry that imports from the fakes in the smallest parts."""
    with environments.create_settings(tmp_path, part_size=PART, **fakes.settings) as settings:
        yield settings


@pytest.fixture(scope="module")
def module_settings(
    environments: Environments, tmp_path_factory: pytest.TempPathFactory, fake_servers: FakeServers
) -> Iterator[Settings]:
    """Settings of a registry that imports from the fakes in the smallest parts, for all tests of one module."""
    folder = tmp_path_factory.mktemp("module")
    with environments.create_settings(folder, part_size=PART, **fake_servers.settings) as settings:
        yield settings


@pytest.fixture
def team(module_registry: Harness, fakes: FakeSources) -> Iterator[ApiCaller]:
    """The owner of a new team in the module's registry.

    Afterwards, lets the storage continue, waits for imports that run, and deletes those of all teams. A run that goes
    on after its import was cancelled is not waited for: tests that cancel one use ``registry``.
    """
    yield module_registry.create_team()
    fakes.storage.resume()
    wait_until(lambda: not delete_idle_imports(module_registry.resources.database))


@pytest.fixture
def stopped(registry_without_jobs: Harness, fakes: FakeSources) -> Stopped:
    """A new team in a registry that runs no imports by itself, and that has none of earlier tests."""
    return Stopped(registry_without_jobs)


@pytest.fixture(scope="module")
def registry_without_jobs(
    environments: Environments, tmp_path_factory: pytest.TempPathFactory, fake_servers: FakeServers
) -> Iterator[Harness]:
    """A registry that runs no imports by itself, and that the tests of one module share."""
    folder = tmp_path_factory.mktemp("without_jobs")
    with (
        environments.create_settings(folder, part_size=PART, **fake_servers.settings) as settings,
        open_resources(settings, Identity(CHEAP), PATIENT) as resources,
        Harness.without_jobs(resources) as registry,
    ):
        yield registry


@pytest.fixture
def large(fakes: FakeSources) -> bytes:
    """The content of a file with three parts, at all sources."""
    content = make_model_file("large", 2 * PART + 1000)
    fakes.huggingface.files["ink.safetensors"] = fakes.civitai.content = content
    return content


@pytest.fixture
def link(fakes: FakeSources) -> str:
    return f"{fakes.huggingface_url}/studio/ink/blob/main/ink.safetensors"
