"""Databases and stores of registries under test.

The environment variable ``MODELYARD_TEST_ON`` selects them:

    small       SQLite and a local folder (the default)
    postgresql  PostgreSQL and a local folder
    large       PostgreSQL and S3
"""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from uuid import uuid4

import pytest

import modelyard.server.app  # noqa: F401 - imports every slice, so that every table is known
from modelyard.server.data_folder import DATABASE_FILE, create_database_file
from modelyard.server.database.engine import Limits
from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.settings import Settings
from tests.postgres import RunningPostgres
from tests.server.harness import MAX_TEAMS
from tests.waiting import PATIENCE_SECONDS

Part = Literal["sqlite", "postgresql", "folder", "s3"]
SETUPS: dict[str, tuple[Part, Part]] = {
    "small": ("sqlite", "folder"),
    "postgresql": ("postgresql", "folder"),
    "large": ("postgresql", "s3"),
}
SECRETS_KEY = base64.b64encode(b"k" * 32).decode()
# Webhooks may have this address, at which no receiver listens.
CLOSED_HOST = "127.0.0.1:9"
# With these, a slow disk makes no request of a registry under test fail with 503.
PATIENT = Limits(busy=1_000 * int(PATIENCE_SECONDS), reading=1_000 * int(PATIENCE_SECONDS))
PARTS = SETUPS[os.environ.get("MODELYARD_TEST_ON", "small")]


def only_on(part: Part, *, reason: str) -> pytest.MarkDecorator:
    """Mark a test that runs only if this part is selected."""
    return pytest.mark.skipif(part not in PARTS, reason=reason)


@contextmanager
def migrated_template(postgres: RunningPostgres) -> Iterator[str]:
    """Yield the name of a migrated database from which new ones are copied, which is faster than migrating each."""
    with postgres.database() as url:
        database = Database(url)
        migrate(database.engine)
        database.close()
        yield url.rpartition("/")[2]


@cache
def read_migrated_file() -> bytes:
    """Return the content of a migrated SQLite file, which is made once in a process."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / DATABASE_FILE
        database = Database(f"sqlite:///{file}")
        migrate(database.engine)
        database.close()
        return file.read_bytes()


def create_migrated_file(file: Path) -> str:
    """Create a migrated SQLite file, as the server would, unless it exists; return its URL."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    create_database_file(file)
    if not file.stat().st_size:
        file.write_bytes(read_migrated_file())
    return f"sqlite:///{file}"


class Environments:
    """Creates settings of empty registries, on the selected database and store; each database is migrated already."""

    def __init__(self, postgres: RunningPostgres | None, template: str, storage: dict[str, Any]) -> None:
        self._postgres = postgres
        self._template = template
        self._storage = storage

    @contextmanager
    def create_settings(self, folder: Path, **changed: Any) -> Iterator[Settings]:
        """Yield settings of an empty registry; its database is dropped at the end, its files stay."""
        defaults = {"data_dir": folder / "data", "public_url": "http://registry.test"}
        defaults |= {"secrets_key": SECRETS_KEY, "webhook_hosts": (CLOSED_HOST,), "max_teams": MAX_TEAMS}
        with self._database() as database:
            settings = Settings(**(defaults | database | self._prefix() | changed))
            if settings.database_url is None:
                create_migrated_file(settings.data_dir / DATABASE_FILE)
            yield settings

    @staticmethod
    def get_program_settings(settings: Settings) -> dict[str, str]:
        """Return the settings with which another program uses the same database and store, as text."""
        values = settings.model_dump(exclude_none=True)
        return {name: str(value) for name, value in values.items() if name.startswith(("database_", "storage_"))}

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
