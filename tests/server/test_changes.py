"""News across processes: whoever waits for a team wakes, whichever server made the news."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection, event

from modelyard.server import changes
from modelyard.server.changes import Watcher
from modelyard.server.database.base import new_id
from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from tests.postgres import RunningPostgres

SOON = 0.1
NEVER = 0.3


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database."""
    if request.param == "sqlite":
        yield _migrated(f"sqlite:///{tmp_path / 'registry.sqlite3'}")
        return
    with request.getfixturevalue("postgres_server").database() as fresh:
        yield _migrated(fresh)


def _migrated(url: str) -> str:
    with opened(url) as database:
        migrate(database.engine)
    return url


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def here(url: str) -> Iterator[Database]:
    with opened(url) as database:
        yield database


@pytest.fixture
def elsewhere(url: str) -> Iterator[Database]:
    """Another server's."""
    with opened(url) as database:
        yield database


@pytest.fixture
def team(here: Database) -> UUID:
    return new_team(here)


async def many_teams(database: Database, count: int) -> list[UUID]:
    return await asyncio.to_thread(lambda: [new_team(database) for _ in range(count)])


def new_team(database: Database) -> UUID:
    team_id = new_id()
    with database.writing(team_id) as session:
        changes.begin(session, team_id)
    return team_id


async def make_news(database: Database, team_id: UUID) -> None:
    await asyncio.to_thread(_raise, database, team_id)


def _raise(database: Database, team_id: UUID) -> None:
    with database.writing(team_id) as session:
        changes.raise_revision(session, team_id)


async def revision(database: Database, team_id: UUID) -> int:
    return await asyncio.to_thread(_revision, database, team_id)


def _revision(database: Database, team_id: UUID) -> int:
    with database.reading() as session:
        return changes.totals_of(session, team_id).revision


@contextmanager
def counted_queries(database: Database) -> Iterator[list[str]]:
    """What asks for revisions, as the database hears it."""
    asked: list[str] = []

    def count(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "team_totals" in statement:
            asked.append(statement)

    event.listen(database.engine, "before_cursor_execute", count)
    yield asked
    event.remove(database.engine, "before_cursor_execute", count)


async def test_news_from_another_server_wakes_whoever_waits(here: Database, elsewhere: Database, team: UUID) -> None:
    watcher = Watcher(here, SOON)
    waiting = asyncio.create_task(watcher.changed(team, await revision(here, team), 10))
    await asyncio.sleep(2 * SOON)
    assert not waiting.done()
    await make_news(elsewhere, team)
    assert await waiting is True


async def test_news_from_this_server_comes_without_a_query(here: Database, team: UUID) -> None:
    watcher = Watcher(here, 60)
    waiting = asyncio.create_task(watcher.changed(team, await revision(here, team), 10))
    await asyncio.sleep(SOON)
    await make_news(here, team)
    assert await waiting is True


async def test_news_that_came_before_anybody_waited_is_news(here: Database, elsewhere: Database, team: UUID) -> None:
    known = await revision(here, team)
    await make_news(elsewhere, team)
    assert await Watcher(here, SOON).changed(team, known, 10) is True


async def test_news_of_another_team_wakes_nobody(here: Database, elsewhere: Database, team: UUID) -> None:
    [other] = await many_teams(here, 1)
    waiting = asyncio.create_task(Watcher(here, SOON).changed(team, await revision(here, team), NEVER))
    for database in (here, elsewhere):
        await make_news(database, other)
    assert await waiting is False


async def test_a_change_that_was_undone_is_no_news(here: Database, team: UUID) -> None:
    waiting = asyncio.create_task(Watcher(here, SOON).changed(team, await revision(here, team), NEVER))
    await asyncio.sleep(SOON)

    def fail() -> None:
        with here.writing(team) as session:
            changes.raise_revision(session, team)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await asyncio.to_thread(fail)
    assert await waiting is False


async def test_two_hundred_who_wait_cost_one_query_at_a_time(here: Database, team: UUID) -> None:
    watcher, teams = Watcher(here, SOON), [*await many_teams(here, 9), team]
    known = await revision(here, team)
    with counted_queries(here) as asked:
        begun = time.monotonic()
        waiting = [watcher.changed(teams[number % 10], known, 1.0) for number in range(200)]
        assert await asyncio.gather(*waiting) == [False] * 200
        assert 1 <= len(asked) <= (time.monotonic() - begun) / SOON + 1


async def test_nobody_who_waits_costs_nothing(here: Database, team: UUID) -> None:
    watcher, known = Watcher(here, SOON), await revision(here, team)
    assert await watcher.changed(team, known, SOON / 2) is False
    await asyncio.sleep(2 * SOON)
    with counted_queries(here) as asked:
        await asyncio.sleep(3 * SOON)
    assert asked == []
    await make_news(here, team)
    assert await watcher.changed(team, known, 10) is True


@pytest.fixture
def mortal() -> Iterator[RunningPostgres]:
    """A database server of the test's own."""
    with RunningPostgres() as server:
        _migrated(server.url())
        yield server


async def test_a_database_that_dies_leaves_everybody_waiting_until_it_is_back(mortal: RunningPostgres) -> None:
    with opened(mortal.url()) as here, opened(mortal.url()) as elsewhere:
        [team] = await many_teams(here, 1)
        watcher, known = Watcher(here, SOON), await revision(here, team)
        await asyncio.to_thread(mortal.stop)
        assert await watcher.changed(team, known, NEVER) is False
        waiting = asyncio.create_task(watcher.changed(team, known, 30))
        await asyncio.to_thread(mortal.start)
        await make_news(elsewhere, team)
        assert await waiting is True
