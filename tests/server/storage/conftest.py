"""The stores that the tests run against, each behind a real server."""

import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest

from modelyard.server.storage.local.routes import build_blob_app
from modelyard.server.storage.local.store import LocalStore
from modelyard.server.storage.s3.store import S3Store
from tests.rclone import RunningRclone
from tests.seaweed import RunningSeaweed
from tests.server.storage.served_store import ServedStore, bucket_in, serving

SECRET = secrets.token_bytes(32)


@pytest.fixture(scope="session")
def folder_served_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
    store = LocalStore(tmp_path_factory.mktemp("store"), SECRET)
    with serving(build_blob_app(store)) as port:
        yield ServedStore(store, port)
    store.close()


@pytest.fixture(scope="session")
def bucket(seaweed_server: RunningSeaweed) -> Iterator[str]:
    """The one bucket of the run; tests that need an empty one use a prefix of their own."""
    with seaweed_server.bucket() as name:
        yield name


@pytest.fixture(scope="session")
def seaweed_served_store(seaweed_server: RunningSeaweed, bucket: str) -> ServedStore:
    return ServedStore(
        S3Store(bucket_in(seaweed_server, bucket, "suite")), seaweed_server.port, 5 << 20, timedelta(seconds=1)
    )


@pytest.fixture(scope="session")
def rclone() -> Iterator[RunningRclone]:
    with RunningRclone() as running:
        yield running


@pytest.fixture(scope="session")
def rclone_served_store(rclone: RunningRclone) -> Iterator[ServedStore]:
    with rclone.bucket() as name:
        yield ServedStore(S3Store(bucket_in(rclone, name, "suite")), rclone.port, 5 << 20)


@pytest.fixture(params=["folder", "seaweed"])
def served_store(request: pytest.FixtureRequest) -> ServedStore:
    """Every store with all capabilities; keys are random, so one store serves all tests."""
    found = request.getfixturevalue(f"{request.param}_served_store")
    assert isinstance(found, ServedStore)
    return found


@pytest.fixture(params=["folder", "seaweed", "rclone"])
def any_served_store(request: pytest.FixtureRequest) -> ServedStore:
    """Every store, including one that checks no checksum and allows overwriting."""
    found = request.getfixturevalue(f"{request.param}_served_store")
    assert isinstance(found, ServedStore)
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStore]:
    """A folder store of this test module."""
    store = LocalStore(tmp_path_factory.mktemp("store"), SECRET)
    yield store
    store.close()


@pytest.fixture(scope="module")
def own(store: LocalStore) -> Iterator[ServedStore]:
    """The folder store of this module, behind a server of its own."""
    with serving(build_blob_app(store)) as port:
        yield ServedStore(store, port)
