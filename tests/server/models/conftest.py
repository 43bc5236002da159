"""Databases of both kinds, migrated and without people: for what two databases do in two ways."""

from collections.abc import Iterator

import pytest

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from tests.postgres import RunningPostgres
from tests.server.models.shelf import Shelf


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    if request.param == "sqlite":
        yield from _opened(f"sqlite:///{tmp_path_factory.mktemp('search') / 'modelyard.sqlite3'}")
        return
    postgres: RunningPostgres = request.getfixturevalue("postgres_server")
    with postgres.database() as url:
        yield from _opened(url)


def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    migrate(database.engine)
    yield database
    database.close()


@pytest.fixture
def shelf(database: Database) -> Shelf:
    """A fresh team's models."""
    return Shelf(database)
