"""Where registries under test keep their rows and their bytes.

``MODELYARD_TEST_ON`` says on what the tests of the API run:

    small       SQLite and a folder (the default)
    postgresql  PostgreSQL and a folder
    large       PostgreSQL and S3
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest

import modelyard.server.app  # noqa: F401 - imports every slice, so that every table is known
from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.settings import Settings
from tests.postgres import RunningPostgres

Part = Literal["sqlite", "postgresql", "folder", "s3"]
SETUPS: dict[str, tuple[Part, Part]] = {
    "small": ("sqlite", "folder"),
    "postgresql": ("postgresql", "folder"),
    "large": ("postgresql", "s3"),
}
PARTS = SETUPS[os.environ.get("MODELYARD_TEST_ON", "small")]


def only_on(part: Part, *, reason: str) -> pytest.MarkDecorator:
    """Marks a test that means nothing on anything else."""
    return pytest.mark.skipif(part not in PARTS, reason=reason)


@contextmanager
def migrated_template(postgres: RunningPostgres) -> Iterator[str]:
    """The name of a database that fresh ones are copied from, which is quicker than migrating each."""
    with postgres.database() as url:
        database = Database(url)
        migrate(database.engine)
        database.close()
        yield url.rpartition("/")[2]


class Places:
    """Settings for fresh registries, all on the set-up of this run."""

    def __init__(self, postgres: RunningPostgres | None, template: str, storage: dict[str, Any]) -> None:
        self._postgres = postgres
        self._template = template
        self._storage = storage

    @contextmanager
    def fresh(self, folder: Path, **changed: Any) -> Iterator[Settings]:
        """Settings of a registry that is empty, and whose database goes with the block; its files may stay."""
        known = {"data_dir": folder / "data", "public_url": "http://registry.test"}
        with self._database() as database:
            yield Settings(**(known | database | self._prefix() | changed))

    @staticmethod
    def named(settings: Settings) -> dict[str, str]:
        """What a program has to be told so that it uses the same database and the same store."""
        given = settings.model_dump(exclude_none=True)
        return {name: str(value) for name, value in given.items() if name.startswith(("database_", "storage_"))}

    @contextmanager
    def _database(self) -> Iterator[dict[str, str]]:
        if self._postgres is None:
            yield {}
            return
        with self._postgres.database(self._template) as url:
            yield {"database_url": url}

    def _prefix(self) -> dict[str, Any]:
        if not self._storage:
            return {}
        return self._storage | {"storage_url": f"{self._storage['storage_url']}/{uuid4()}"}
