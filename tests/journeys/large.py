"""Settings of a registry on PostgreSQL and a bucket, for real processes that share them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed


@contextmanager
def large(postgres: RunningPostgres, seaweed: RunningSeaweed) -> Iterator[dict[str, str]]:
    """A fresh database and a fresh bucket, by the settings that lead there; both go with the block."""
    with postgres.database() as database, seaweed.bucket() as bucket:
        yield {
            "database_url": database,
            "storage_url": f"s3://{bucket}/studio",
            "storage_endpoint": seaweed.endpoint,
            "storage_access_key": seaweed.access_key,
            "storage_secret_key": seaweed.secret_key,
        }


@contextmanager
def serving(request: pytest.FixtureRequest, folder: Path, **settings: str) -> Iterator[RunningServer]:
    """A registry on SQLite and a folder, or where ``request.param`` is "large" on PostgreSQL and a bucket."""
    with ExitStack() as opened:
        if request.param == "large":
            postgres, seaweed = (request.getfixturevalue(f"{name}_server") for name in ("postgres", "seaweed"))
            settings |= opened.enter_context(large(postgres, seaweed))
        yield opened.enter_context(RunningServer(folder / "data", port=0, **settings))
