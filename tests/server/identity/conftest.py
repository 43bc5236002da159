"""A shared registry, and a migrated database of each kind."""

from collections.abc import Iterator

import pytest

from modelyard.server.database.session import Database
from tests.server.accounts_support.fixtures import registry
from tests.server.environments import PATIENT

__all__ = ["registry"]


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = Database(migrated_url, PATIENT)
    yield database
    database.close()
