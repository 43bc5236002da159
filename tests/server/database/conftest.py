"""Both databases, empty, and two servers on one database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.database.session import Database
from modelyard.server.settings import Settings
from tests.postgres import RunningPostgres
from tests.server.database.two_servers import OPEN_UPLOADS, TwoServers, two_servers
from tests.server.environments import PATIENT
from tests.server.harness import MAX_TEAMS, ApiCaller

ONE_WRITER = pytest.param(
    "sqlite", marks=pytest.mark.extended(reason="SQLite has one writer at a time; `make check` races on PostgreSQL")
)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'modelyard.sqlite3'}"
        return
    postgres: RunningPostgres = request.getfixturevalue("postgres_server")
    with postgres.database() as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, PATIENT)
    yield database
    database.close()


@pytest.fixture(scope="module", params=[ONE_WRITER, "postgresql"])
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    """Two servers on one database of each kind."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("two") / "data",
        public_url="http://registry.test",
        open_uploads=OPEN_UPLOADS,
        max_teams=MAX_TEAMS,
    )
    if request.param == "sqlite":
        with two_servers(settings) as servers:
            yield servers
        return
    postgres: RunningPostgres = request.getfixturevalue("postgres_server")
    with postgres.database() as url, two_servers(settings.model_copy(update={"database_url": url})) as servers:
        yield servers


@pytest.fixture
def team(servers: TwoServers) -> Iterator[ApiCaller]:
    """The owner of a new team; after the test, the stored totals must be correct."""
    yield servers.registry.create_team()
    servers.check_sums()
