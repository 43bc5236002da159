"""Settings of a registry on PostgreSQL and a bucket, for real processes that share them."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.postgres import RunningPostgres
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
