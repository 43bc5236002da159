"""A registry whose operations a test can hold, with real parts and without jobs."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT, Environments
from tests.server.harness import Harness
from tests.server.http.held_operations import StallingStore
from tests.waiting import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def quiet_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A registry on SQLite and a folder whose reads a test can stall; without jobs, only requests write and read."""
    small = Environments(None, "", {})
    with (
        small.create_settings(tmp_path_factory.mktemp("quiet")) as settings,
        open_resources(settings, Identity(CHEAP), PATIENT) as resources,
        closing(StallingStore(settings.data_dir)) as store,
        Harness.without_jobs(replace(resources, store=store)) as registry,
    ):
        state = registry.app.state
        names = ("parsing", "authentication", "read", "write", "registration", "heartbeat")
        manifests = state.fleet.manifests
        for limiter in (
            *(getattr(state, f"{name}_limiter") for name in names),
            *(manifests.loading_limiter, manifests.building_limiter),
        ):
            # Nothing that a test holds is refused meanwhile, however slow the machine is.
            limiter._queue_seconds = 10 * PATIENCE_SECONDS
        yield registry
