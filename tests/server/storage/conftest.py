"""The stores that the suite runs against, each behind a real server."""

import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest

from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.local_routes import blob_app
from modelyard.server.storage.s3 import S3Store
from tests.rclone import RunningRclone
from tests.seaweed import RunningSeaweed
from tests.server.storage.place import Place, bucket_in, serving

SECRET = secrets.token_bytes(32)


@pytest.fixture(scope="session")
def folder_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    store = LocalStore(tmp_path_factory.mktemp("store"), SECRET)
    with serving(blob_app(store)) as port:
        yield Place(store, port)
    store.close()


@pytest.fixture(scope="session")
def bucket(seaweed_server: RunningSeaweed) -> Iterator[str]:
    """The one bucket of the run; tests that need an empty one take a prefix of their own."""
    with seaweed_server.bucket() as name:
        yield name


@pytest.fixture(scope="session")
def seaweed_place(seaweed_server: RunningSeaweed, bucket: str) -> Place:
    return Place(
        S3Store(bucket_in(seaweed_server, bucket, "suite")), seaweed_server.port, 5 << 20, timedelta(seconds=1)
    )


@pytest.fixture(scope="session")
def rclone() -> Iterator[RunningRclone]:
    with RunningRclone() as running:
        yield running


@pytest.fixture(scope="session")
def rclone_place(rclone: RunningRclone) -> Iterator[Place]:
    with rclone.bucket() as name:
        yield Place(S3Store(bucket_in(rclone, name, "suite")), rclone.port, 5 << 20)


@pytest.fixture(params=["folder", "seaweed"])
def place(request: pytest.FixtureRequest) -> Place:
    """Every store that keeps the whole promise; keys are random, so one store serves all tests."""
    found = request.getfixturevalue(f"{request.param}_place")
    assert isinstance(found, Place)
    return found


@pytest.fixture(params=["folder", "seaweed", "rclone"])
def any_place(request: pytest.FixtureRequest) -> Place:
    """Every store, also one that checks no checksum and lets a key be written again."""
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
    with serving(blob_app(store, idle_seconds=3)) as port:
        yield Place(store, port)
