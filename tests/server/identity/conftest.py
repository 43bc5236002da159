"""A shared registry, and a migrated database of each kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from tests.server.accounts_support.fixtures import registry

__all__ = ["registry"]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database_of_test = Database(f"sqlite:///{tmp_path / 'registry.sqlite3'}")
        migrate(database_of_test.engine)
        yield database_of_test
        database_of_test.close()
        return
    with request.getfixturevalue("postgres_server").database() as url:
        database_of_test = Database(url)
        migrate(database_of_test.engine)
        yield database_of_test
        database_of_test.close()
