"""Registries without jobs, in which a test runs verification itself."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from modelyard.server.storage.capabilities import StoreCapabilities
from modelyard.server.storage.local.store import LocalStore
from tests.server.agents.machine import Machine, add_machine
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT, Environments
from tests.server.harness import Harness
from tests.server.verification.faulty_store import FaultyStore
from tests.server.verification.machine_content import OLD
from tests.server.verification.unverified_team import UnverifiedTeam

HASHED_BY_STORE = "hashed by a folder store"
# A team without jobs, and how content is pushed to it.
Pushing = tuple[UnverifiedTeam, Callable[..., str]]


@pytest.fixture(scope="session")
def registry_without_jobs(environments: Environments, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A registry without cached digests, as after a restart, and without running jobs."""
    with (
        environments.create_settings(tmp_path_factory.mktemp("without_jobs")) as settings,
        open_resources(settings, Identity(CHEAP), PATIENT) as resources,
    ):
        # No thread hashes uploads any more, and jobs belong to a lifespan, which is not run.
        if isinstance(resources.store, LocalStore):
            resources.store.close()
        with Harness.without_jobs(resources) as registry:
            yield registry


@pytest.fixture
def unverified(registry_without_jobs: Harness) -> Iterator[UnverifiedTeam]:
    """A new team of that registry."""
    unverified = UnverifiedTeam(registry_without_jobs)
    yield unverified
    unverified.finish()


@pytest.fixture
def overwritable(registry_without_jobs: Harness) -> Iterator[UnverifiedTeam]:
    """A new team of that registry, whose store was found to allow overwriting."""
    capabilities = StoreCapabilities()
    assert registry_without_jobs.resources.capabilities.probed is not None
    capabilities.probed = replace(registry_without_jobs.resources.capabilities.probed, refuses_overwrite=False)
    overwritable = UnverifiedTeam(registry_without_jobs, capabilities=capabilities)
    yield overwritable
    overwritable.finish()


@pytest.fixture
def faulty(environments: Environments, tmp_path: Path) -> Iterator[UnverifiedTeam]:
    """A registry of the test's own, whose verifier has a ``FaultyStore``."""
    with (
        environments.create_settings(tmp_path, storage_url=None, storage_endpoint=None) as settings,
        open_resources(settings, Identity(CHEAP), PATIENT) as resources,
    ):
        assert isinstance(resources.store, LocalStore)
        resources.store.close()
        with Harness.without_jobs(resources) as registry:
            yield UnverifiedTeam(registry, store=FaultyStore(settings.data_dir))


@pytest.fixture
def machine(unverified: UnverifiedTeam) -> Machine:
    return add_machine(unverified.registry, unverified.owner)


@pytest.fixture
def old(unverified: UnverifiedTeam) -> str:
    """A verified model, which machines should hold."""
    model_id = unverified.register(OLD)
    unverified.verify_all()
    return model_id


@pytest.fixture(params=[HASHED_BY_STORE, "hashed by verification"])
def hashing(request: pytest.FixtureRequest, environments: Environments, tmp_path: Path) -> Iterator[Pushing]:
    """A registry without jobs, and how content is pushed to it; only a folder hashes while it stores."""
    is_hashed_by_store = request.param == HASHED_BY_STORE
    in_folder = {"storage_url": None, "storage_endpoint": None} if is_hashed_by_store else {}
    with (
        environments.create_settings(tmp_path, **in_folder) as settings,
        open_resources(settings, Identity(CHEAP), PATIENT) as resources,
        Harness.without_jobs(resources) as registry,
    ):
        team = UnverifiedTeam(registry)
        yield team, team.owner.register if is_hashed_by_store else team.register
