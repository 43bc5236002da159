"""What it costs that many machines wait, on both databases, and what reaches them from another server."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from modelyard.server import changes
from modelyard.server.agents.waiting import Standing, Waiting
from modelyard.server.database.base import new_id, now
from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.models.holders.tables import AgentRow
from modelyard.server.teams.tables import TeamRow
from tests.server.plans import recorded

SOON = 0.05
LATE = 10


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'registry.sqlite3'}"
        return
    with request.getfixturevalue("postgres_server").database() as fresh:
        yield fresh


@pytest.fixture
def here(url: str) -> Iterator[Database]:
    database = Database(url)
    migrate(database.engine)
    yield database
    database.close()


@pytest.fixture
def elsewhere(here: Database, url: str) -> Iterator[Database]:
    """Another server's."""
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def standing(here: Database) -> Standing:
    """A machine that may wait."""
    team_id, key_id = new_id(), new_id()
    with here.writing(team_id) as session:
        session.add(TeamRow(id=team_id, display_name="Studio"))
        changes.begin(session, team_id)
        session.flush()
        named = {"kind": "agent", "display_name": "farm", "key_prefix": "ak-", "key_hash": str(key_id)}
        session.add(CredentialRow(id=key_id, team_id=team_id, access="read", **named))
        session.flush()
        said = {"agent_status": "idle", "agent_version": "", "platform_arch": "", "sync_phase": "idle"}
        agent = AgentRow(team_id=team_id, agent_id="render-07", credential_id=key_id, **said)
        agent.bytes_held = agent.removal_waiting = 0
        agent.last_heartbeat = now()
        session.add(agent)
        session.flush()
        revision = changes.totals_of(session, team_id).revision
        return Standing(team_id, agent.number, 0, "", key_id, revision)


def change(database: Database, kind: type[AgentRow | CredentialRow], standing: Standing, **values: object) -> None:
    with database.writing(standing.team_id) as session:
        which = update(kind).where(kind.team_id == standing.team_id).values(**values)
        session.execute(which.execution_options(synchronize_session=False))


async def test_an_order_given_at_another_server_calls_the_machine(
    here: Database, elsewhere: Database, standing: Standing
) -> None:
    waiting = asyncio.create_task(Waiting(here, SOON).called(standing, LATE))
    await asyncio.to_thread(change, elsewhere, AgentRow, standing, orders=1)
    assert await waiting is True


async def test_a_key_revoked_at_another_server_calls_the_machine(
    here: Database, elsewhere: Database, standing: Standing
) -> None:
    waiting = asyncio.create_task(Waiting(here, SOON).called(standing, LATE))
    await asyncio.to_thread(change, elsewhere, CredentialRow, standing, revoked_at=now())
    assert await waiting is True


async def test_a_model_of_the_team_is_news_but_no_call(here: Database, elsewhere: Database, standing: Standing) -> None:
    waiting = asyncio.create_task(Waiting(here, SOON).called(standing, LATE))

    def make_news() -> None:
        with elsewhere.writing(standing.team_id) as session:
            changes.raise_revision(session, standing.team_id)

    await asyncio.to_thread(make_news)
    assert await waiting is False


async def test_two_hundred_who_wait_cost_four_queries_a_look(here: Database, standing: Standing) -> None:
    waiting = Waiting(here, SOON)
    loop = asyncio.get_running_loop()
    with recorded(here.engine, of_all_threads=True) as statements:
        begun = loop.time()
        everybody = [waiting.called(replace(standing), 20 * SOON) for _ in range(200)]
        assert await asyncio.gather(*everybody) == [False] * 200
        # One at keys, one at machines; two at revisions, which are looked at twice as often.
        assert len(statements.sent) <= 4 * ((loop.time() - begun) / SOON + 1)
    assert len(waiting) == 0


async def test_nobody_waits_once_the_server_stops(here: Database, standing: Standing) -> None:
    waiting = Waiting(here, LATE)
    asked = asyncio.create_task(waiting.called(standing, LATE))
    while not len(waiting):  # noqa: ASYNC110 - there is nothing to be told by
        await asyncio.sleep(0)
    waiting.stop()
    assert await asked is True
    assert await waiting.called(standing, LATE) is True
