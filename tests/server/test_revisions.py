"""The revision watcher: waiting for a change of a team, made by this or another server of the database."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import pytest
from sqlalchemy import Connection, event

from modelyard.server import revisions
from modelyard.server.database.base import new_id
from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.revisions import RevisionWatcher
from tests.postgres import RunningPostgres
from tests.server.environments import PATIENT
from tests.waiting import PATIENCE_SECONDS, wait_until_async

pytestmark = pytest.mark.slow

POLL_SECONDS = 0.1
TIMEOUT = 0.3


@contextmanager
def open_database(url: str) -> Iterator[Database]:
    database = Database(url, PATIENT)
    yield database
    database.close()


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    with open_database(migrated_url) as database:
        yield database


@pytest.fixture
def other_server(migrated_url: str) -> Iterator[Database]:
    """The database as opened by another server."""
    with open_database(migrated_url) as database:
        yield database


@pytest.fixture
def team(database: Database) -> UUID:
    return create_team(database)


async def create_teams(database: Database, count: int) -> list[UUID]:
    return await asyncio.to_thread(lambda: [create_team(database) for _ in range(count)])


def create_team(database: Database) -> UUID:
    team_id = new_id()
    with database.writing(team_id) as session:
        revisions.create_totals(session, team_id)
    return team_id


async def increment_revision(database: Database, team_id: UUID) -> None:
    await asyncio.to_thread(_increment, database, team_id)


def _increment(database: Database, team_id: UUID) -> None:
    with database.writing(team_id) as session:
        revisions.increment_revision(session, team_id)


async def get_revision(database: Database, team_id: UUID) -> int:
    return await asyncio.to_thread(_get_revision, database, team_id)


def _get_revision(database: Database, team_id: UUID) -> int:
    with database.reading() as session:
        return revisions.get_totals(session, team_id).revision


@contextmanager
def record_revision_queries(database: Database) -> Iterator[list[str]]:
    """Record the queries for revisions that have been executed."""
    queries: list[str] = []

    def count(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "team_totals" in statement:
            queries.append(statement)

    event.listen(database.engine, "after_cursor_execute", count)
    yield queries
    event.remove(database.engine, "after_cursor_execute", count)


async def test_wait_for_revision_change_by_other_server_returns_true(
    database: Database, other_server: Database, team: UUID
) -> None:
    watcher = RevisionWatcher(database, POLL_SECONDS)
    waiting = asyncio.create_task(watcher.wait_for_revision(team, await get_revision(database, team), PATIENCE_SECONDS))
    with record_revision_queries(database) as queries:
        await wait_until_async(lambda: len(queries) > 2)
    assert not waiting.done()
    await increment_revision(other_server, team)
    assert await waiting is True


async def test_wait_for_revision_change_by_same_server_returns_true_before_the_next_poll(
    database: Database, team: UUID
) -> None:
    watcher, known = RevisionWatcher(database, 10 * PATIENCE_SECONDS), await get_revision(database, team)
    with record_revision_queries(database) as queries:
        waiting = asyncio.create_task(watcher.wait_for_revision(team, known, PATIENCE_SECONDS))
        await wait_until_async(lambda: queries)
    await increment_revision(database, team)
    assert await waiting is True


async def test_wait_for_revision_changed_before_the_call_returns_true(
    database: Database, other_server: Database, team: UUID
) -> None:
    known = await get_revision(database, team)
    await increment_revision(other_server, team)
    assert await RevisionWatcher(database, POLL_SECONDS).wait_for_revision(team, known, PATIENCE_SECONDS) is True


async def test_wait_for_revision_without_change_returns_false_after_timeout(database: Database, team: UUID) -> None:
    known = await get_revision(database, team)
    assert await RevisionWatcher(database, POLL_SECONDS).wait_for_revision(team, known, TIMEOUT) is False


@asynccontextmanager
async def waiting_through_block(database: Database, team: UUID) -> AsyncIterator[None]:
    """Wait for a revision while the block runs and two polls after it; fail if the wait has ended then."""
    watcher, known = RevisionWatcher(database, POLL_SECONDS), await get_revision(database, team)
    with record_revision_queries(database) as queries:
        waiting = asyncio.create_task(watcher.wait_for_revision(team, known, 10 * PATIENCE_SECONDS))
        await wait_until_async(lambda: queries)
        yield
        before = len(queries)
        # The result of a query was used before the second one after it.
        await wait_until_async(lambda: len(queries) > before + 2)
    assert not waiting.done()
    waiting.cancel()


async def test_wait_for_revision_change_of_another_team_does_not_end_it(
    database: Database, other_server: Database, team: UUID
) -> None:
    [other] = await create_teams(database, 1)
    async with waiting_through_block(database, team):
        for server in (database, other_server):
            await increment_revision(server, other)


async def test_wait_for_revision_rolled_back_change_does_not_end_it(database: Database, team: UUID) -> None:
    def fail() -> None:
        with database.writing(team) as session:
            revisions.increment_revision(session, team)
            raise InterruptedError

    async with waiting_through_block(database, team):
        with pytest.raises(InterruptedError):
            await asyncio.to_thread(fail)


async def test_wait_for_revision_200_waiters_share_one_query_per_poll(database: Database, team: UUID) -> None:
    watcher, teams = RevisionWatcher(database, POLL_SECONDS), [*await create_teams(database, 9), team]
    known = await get_revision(database, team)
    with record_revision_queries(database) as queries:
        waiting = [watcher.wait_for_revision(teams[number % 10], known, 10 * POLL_SECONDS) for number in range(200)]
        assert await asyncio.gather(*waiting) == [False] * 200
        # However slow the machine is, no more polls begin between the first request and the last timeout.
        assert 1 <= len(queries) <= 10 + 1


async def test_revision_watcher_without_waiters_sends_no_query(database: Database, team: UUID) -> None:
    watcher, known = RevisionWatcher(database, POLL_SECONDS), await get_revision(database, team)
    tasks = asyncio.all_tasks()
    assert await watcher.wait_for_revision(team, known, POLL_SECONDS / 2) is False
    # No task is left that could send one.
    await wait_until_async(lambda: asyncio.all_tasks() == tasks)
    await increment_revision(database, team)
    assert await watcher.wait_for_revision(team, known, PATIENCE_SECONDS) is True


@pytest.fixture
def own_postgres() -> Iterator[RunningPostgres]:
    """A database server that the test may stop."""
    with RunningPostgres() as server:
        with open_database(server.url()) as database:
            migrate(database.engine)
        yield server


async def test_wait_for_revision_during_database_outage_times_out_and_later_returns_true(
    own_postgres: RunningPostgres,
) -> None:
    with open_database(own_postgres.url()) as database, open_database(own_postgres.url()) as other_server:
        [team] = await create_teams(database, 1)
        watcher, known = RevisionWatcher(database, POLL_SECONDS), await get_revision(database, team)
        await asyncio.to_thread(own_postgres.stop)
        assert await watcher.wait_for_revision(team, known, TIMEOUT) is False
        waiting = asyncio.create_task(watcher.wait_for_revision(team, known, PATIENCE_SECONDS))
        await asyncio.to_thread(own_postgres.start)
        await increment_revision(other_server, team)
        assert await waiting is True
