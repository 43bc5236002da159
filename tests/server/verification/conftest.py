"""Registries in which nobody verifies anything until the test says so, on both set-ups."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.parts import opened
from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.trust import Trust
from tests.server.agents.machine import Machine, machine_of
from tests.server.conftest import CHEAP
from tests.server.places import Places, migrated_template
from tests.server.verification.replacing import OLD
from tests.server.verification.stores import ErringStore
from tests.server.verification.unread import Unread
from tests.server.world import World


@pytest.fixture(scope="session", params=["small", "large"])
def setup(request: pytest.FixtureRequest) -> Iterator[Places]:
    """SQLite and a folder, then PostgreSQL and S3, whatever the rest of the run is on."""
    if request.param == "small":
        yield Places(None, "", {})
        return
    postgres, seaweed = (request.getfixturevalue(f"{name}_server") for name in ("postgres", "seaweed"))
    with ExitStack() as stack:
        storage: dict[str, Any] = {
            "storage_url": f"s3://{stack.enter_context(seaweed.bucket())}",
            "storage_endpoint": seaweed.endpoint,
            "storage_access_key": seaweed.access_key,
            "storage_secret_key": seaweed.secret_key,
        }
        yield Places(postgres, stack.enter_context(migrated_template(postgres)), storage)


@pytest.fixture(scope="session")
def forgetful(setup: Places, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A registry that knows of its bytes what it knows after a restart, nothing; and no chore runs by itself."""
    with setup.fresh(tmp_path_factory.mktemp("forgetful")) as settings, opened(settings, Identity(CHEAP)) as parts:
        # No hashing thread follows an upload any more, and chores belong to a lifespan, which is not run.
        if isinstance(parts.store, LocalStore):
            parts.store.close()
        world = World(parts)
        world.owner = world.sign_in("owner@studio.test", world.team_id)
        yield world


@pytest.fixture
def unread(forgetful: World) -> Iterator[Unread]:
    """A fresh team of that registry."""
    unread = Unread(forgetful)
    yield unread
    unread.verify_all()


@pytest.fixture
def suspicious(forgetful: World) -> Iterator[Unread]:
    """The same, where the store was seen to let keys be written again."""
    trust = Trust()
    assert forgetful.parts.trust.honesty is not None
    trust.honesty = replace(forgetful.parts.trust.honesty, refuses_overwrite=False)
    suspicious = Unread(forgetful, trust=trust)
    yield suspicious
    suspicious.verify_all()


@pytest.fixture
def bad_days(places: Places, tmp_path: Path) -> Iterator[Unread]:
    """A registry of the test's own, whose worker has a store that errs when the test says so."""
    with (
        places.fresh(tmp_path, storage_url=None, storage_endpoint=None) as settings,
        opened(settings, Identity(CHEAP)) as parts,
    ):
        assert isinstance(parts.store, LocalStore)
        parts.store.close()
        world = World(parts)
        world.owner = world.sign_in("owner@studio.test", world.team_id)
        yield Unread(world, store=ErringStore(settings.data_dir))
        world.client.close()


@pytest.fixture
def machine(unread: Unread) -> Machine:
    return machine_of(unread.world, unread.owner)


@pytest.fixture
def old(unread: Unread) -> str:
    """A model that was read, so that machines hold it."""
    model_id = unread.register(OLD)
    unread.verify_all()
    return model_id
