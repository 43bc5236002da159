"""Fresh PostgreSQL databases and S3 buckets for registries in separate processes, and settings that name them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed


@contextmanager
def create_database_and_bucket(postgres: RunningPostgres, seaweed: RunningSeaweed) -> Iterator[dict[str, str]]:
    """Create a fresh database and bucket, yield the server settings that name them, and drop both after the block."""
    with postgres.database() as database, seaweed.bucket() as bucket:
        yield {
            "database_url": database,
            "storage_url": f"s3://{bucket}/studio",
            "storage_endpoint": seaweed.endpoint,
            "storage_access_key": seaweed.access_key,
            "storage_secret_key": seaweed.secret_key,
        }


@contextmanager
def run_registry(request: pytest.FixtureRequest, folder: Path, **settings: str) -> Iterator[RunningServer]:
    """Run a registry on SQLite and a folder, or on PostgreSQL and a bucket if ``request.param`` is "large".

    With the setting ``port``, it is the same after each start.
    """
    port = int(settings.pop("port", "0"))
    with ExitStack() as opened:
        if request.param == "large":
            postgres, seaweed = (request.getfixturevalue(f"{name}_server") for name in ("postgres", "seaweed"))
            settings |= opened.enter_context(create_database_and_bucket(postgres, seaweed))
        yield opened.enter_context(RunningServer(folder / "data", port=port, **settings))
