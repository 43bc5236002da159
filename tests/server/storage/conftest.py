"""The stores that the suite runs against, each behind a real server."""

import secrets
from collections.abc import Iterator

import pytest

from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.local_routes import blob_app
from tests.server.storage.place import Place, serving

SECRET = secrets.token_bytes(32)


@pytest.fixture(scope="session")
def folder_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    store = LocalStore(tmp_path_factory.mktemp("store"), SECRET)
    with serving(blob_app(store)) as port:
        yield Place(store, port)
    store.close()


@pytest.fixture(params=["folder"])
def place(request: pytest.FixtureRequest) -> Place:
    """Every store that there is; keys are random, so one store serves all tests."""
    found = request.getfixturevalue(f"{request.param}_place")
    assert isinstance(found, Place)
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStore]:
    """A folder store of this file's own."""
    store = LocalStore(tmp_path_factory.mktemp("store"), SECRET)
    yield store
    store.close()


@pytest.fixture(scope="module")
def own(store: LocalStore) -> Iterator[Place]:
    """The same, behind a server that is impatient with silent clients."""
    with serving(blob_app(store, idle_seconds=0.5)) as port:
        yield Place(store, port)
