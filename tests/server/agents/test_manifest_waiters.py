"""Requests that wait for a manifest, on both databases: changes by another server, and the number of queries."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import update

from modelyard.server import revisions
from modelyard.server.agents.manifest import BUILDING_THREADS, ManifestCache
from modelyard.server.agents.manifest_build import CachedManifest, ManifestKey
from modelyard.server.agents.manifest_waiters import AgentSnapshot, ManifestWaiters
from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import Database
from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import Limits
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.http.waiting.places import WaitingPlaces
from modelyard.server.identity.operations import create_user
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.teams.operations import add_member
from modelyard.server.teams.tables import TeamRow
from modelyard.wire.people.roles import Role
from modelyard.wire.problems import Unavailable
from tests.server.environments import PATIENT
from tests.server.query_plans import record_queries
from tests.waiting import PATIENCE_SECONDS, wait_until_async

pytestmark = pytest.mark.slow

POLL_SECONDS = 0.05


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = Database(migrated_url, PATIENT)
    yield database
    database.close()


@pytest.fixture
def other_database(database: Database, migrated_url: str) -> Iterator[Database]:
    """The connection of another server to the same database."""
    database = Database(migrated_url, PATIENT)
    yield database
    database.close()


@pytest.fixture
def snapshot(database: Database) -> AgentSnapshot:
    """The snapshot of a machine with a valid key."""
    team_id, key_id = new_id(), new_id()
    with database.writing(team_id) as session:
        session.add(TeamRow(id=team_id, display_name="Studio"))
        revisions.create_totals(session, team_id)
        session.flush()
        owner = create_user(session, "owner@studio.test", "Ada", "Lovelace", "")
        session.flush()
        add_member(session, team_id, owner.id, Role.OWNER)
        key_fields = {"kind": "agent", "display_name": "farm", "key_prefix": "ak-", "key_hash": str(key_id)}
        session.add(CredentialRow(id=key_id, team_id=team_id, access="read", user_id=owner.id, **key_fields))
        session.flush()
        agent_fields = {"agent_status": "idle", "agent_version": "", "platform_arch": "", "sync_phase": "idle"}
        agent = AgentRow(team_id=team_id, agent_id="render-07", credential_id=key_id, **agent_fields)
        agent.bytes_held = agent.removal_waiting = 0
        agent.last_heartbeat = now()
        session.add(agent)
        session.flush()
        revision = revisions.get_totals(session, team_id).revision
        return AgentSnapshot(team_id, agent.number, 0, "", "", key_id, revision, str(key_id))


def update_rows(
    database: Database, table: type[AgentRow | CredentialRow], snapshot: AgentSnapshot, **values: object
) -> None:
    """Update the rows of the snapshot's team."""
    with database.writing(snapshot.team_id) as session:
        statement = update(table).where(table.team_id == snapshot.team_id).values(**values)
        session.execute(statement.execution_options(synchronize_session=False))


async def test_wait_for_change_order_of_another_server_returns_true(
    database: Database, other_database: Database, snapshot: AgentSnapshot
) -> None:
    waiting = asyncio.create_task(ManifestWaiters(database, POLL_SECONDS).wait_for_change(snapshot, PATIENCE_SECONDS))
    await asyncio.to_thread(update_rows, other_database, AgentRow, snapshot, orders=1)
    assert await waiting is True


async def test_wait_for_change_key_revoked_by_another_server_returns_true(
    database: Database, other_database: Database, snapshot: AgentSnapshot
) -> None:
    waiting = asyncio.create_task(ManifestWaiters(database, POLL_SECONDS).wait_for_change(snapshot, PATIENCE_SECONDS))
    await asyncio.to_thread(update_rows, other_database, CredentialRow, snapshot, revoked_at=now())
    assert await waiting is True


async def test_wait_for_change_new_revision_returns_false(
    database: Database, other_database: Database, snapshot: AgentSnapshot
) -> None:
    waiting = asyncio.create_task(ManifestWaiters(database, POLL_SECONDS).wait_for_change(snapshot, PATIENCE_SECONDS))

    def increment_revision() -> None:
        with other_database.writing(snapshot.team_id) as session:
            revisions.increment_revision(session, snapshot.team_id)

    await asyncio.to_thread(increment_revision)
    assert await waiting is False


async def test_wait_for_change_of_200_machines_costs_four_queries_per_poll(
    database: Database, snapshot: AgentSnapshot
) -> None:
    waiters = ManifestWaiters(database, POLL_SECONDS)
    with record_queries(database.engine, of_all_threads=True) as statements:
        waits = [waiters.wait_for_change(replace(snapshot), 20 * POLL_SECONDS) for _ in range(200)]
        assert await asyncio.gather(*waits) == [False] * 200
        # One for keys, one for machines, and two for revisions, which are read twice as often. However slow the
        # machine is, no more polls begin between the first request and the last timeout.
        assert 0 < len(statements.sent) <= 4 * (20 + 1)
    assert len(waiters) == 0


async def test_wait_for_change_returns_true_when_stopped_and_afterwards(
    database: Database, snapshot: AgentSnapshot
) -> None:
    waiters = ManifestWaiters(database, PATIENCE_SECONDS)
    wait = asyncio.create_task(waiters.wait_for_change(snapshot, PATIENCE_SECONDS))
    await wait_until_async(lambda: len(waiters))
    waiters.stop()
    assert await wait is True
    assert await waiters.wait_for_change(snapshot, PATIENCE_SECONDS) is True


async def test_build_that_gets_no_thread_is_started_again_by_those_who_wait_for_it(
    database: Database, snapshot: AgentSnapshot
) -> None:
    cache = ManifestCache(database, ManifestWaiters(database, POLL_SECONDS), WaitingPlaces(Limits(2, 2, 2)))
    cache.building_limiter = OperationLimiter(BUILDING_THREADS, queue_seconds=0)
    busy, other = (Account(person=new_id(), team=new_id()) for _ in range(2))
    key, ends = ManifestKey(snapshot.team_id, snapshot.label_set, has_previews=False), threading.Event()
    building = asyncio.create_task(cache.building_limiter.run(busy, lambda: ends.wait(PATIENCE_SECONDS)))
    await wait_until_async(lambda: cache.building_limiter.places.running.people.get(busy.person) == 1)
    callers = [cache._get_current(key, snapshot.revision, account) for account in (busy, other)]
    refused, built = await asyncio.gather(*callers, return_exceptions=True)
    ends.set()
    assert await building
    assert isinstance(refused, Unavailable)
    assert isinstance(built, CachedManifest)
    assert built.revision == snapshot.revision
