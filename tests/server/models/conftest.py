"""Migrated empty databases, SQLite and PostgreSQL, for tests of queries that differ between them."""

from collections.abc import Iterator

import pytest

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from tests.postgres import RunningPostgres
from tests.server.environments import PATIENT
from tests.server.models.model_factory import TeamModels


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    if request.param == "sqlite":
        yield from _open_database(f"sqlite:///{tmp_path_factory.mktemp('search') / 'modelyard.sqlite3'}")
        return
    postgres: RunningPostgres = request.getfixturevalue("postgres_server")
    with postgres.database() as url:
        yield from _open_database(url)


def _open_database(url: str) -> Iterator[Database]:
    database = Database(url, PATIENT)
    migrate(database.engine)
    yield database
    database.close()


@pytest.fixture
def team_models(database: Database) -> TeamModels:
    """A new team without models."""
    return TeamModels(database)
