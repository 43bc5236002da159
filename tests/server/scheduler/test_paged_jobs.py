"""Jobs on rows: they delete page by page, may be stopped in between, and leave out a team whose lock is held."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, select, update

from modelyard.server.audit.tables import AuditEventRow
from modelyard.server.database.base import Row, new_id, now
from modelyard.server.database.engine import Limits
from modelyard.server.database.job_run import PAGE, JobRun, RunStopped
from modelyard.server.database.session import Database
from modelyard.server.identity.operations import delete_expired_identity_rows
from modelyard.server.identity.tables import CredentialRow, PasswordResetRow, SignInRow, SpentTokenRow, UserRow
from modelyard.server.imports.operations import delete_old_imports
from modelyard.server.imports.tables import ImportRow
from modelyard.server.leases import Interruption
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.unhealthy import record_unhealthy_agents
from modelyard.server.revisions import TeamTotalsRow
from modelyard.server.scheduler.job import run_pages
from modelyard.server.settings import Settings
from modelyard.server.teams.quota_events import record_quota_events
from modelyard.server.teams.tables import TeamRow
from modelyard.server.webhooks.deliveries import delete_old_deliveries
from modelyard.server.webhooks.tables import WebhookDeliveryRow, WebhookRow
from modelyard.wire.problems import Unavailable
from tests.server.garbage.version_rows import TeamSpec, insert_teams

pytestmark = pytest.mark.slow

OLD = now() - timedelta(days=400)
MANY = 2 * PAGE + 1
CREATOR = {"creator_kind": "user", "creator_name": "Ada Lovelace"}
# How long a transaction waits for a lock that is held all the time, in milliseconds.
SHORT = Limits(busy=500)


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = Database(migrated_url, SHORT)
    yield database
    database.close()


def insert(database: Database, *rows: Row) -> None:
    with database.writing() as session:
        for row in rows:
            session.add(row)
            session.flush()


def count(database: Database, table: type[Row], *conditions: Any) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


def build_import(team_id: UUID, **columns: Any) -> ImportRow:
    required = {"url": "https://a", "host": "a", "request": {}, "storage_key": f"{new_id()}", "file_size": 1}
    return ImportRow(team_id=team_id, **required, **CREATOR, **columns)


def build_sign_in(user_id: UUID, **columns: Any) -> SignInRow:
    required = {"token_hash": f"{new_id()}", "expires_at": now() + timedelta(days=1)}
    return SignInRow(id=new_id(), user_id=user_id, **(required | columns))


def insert_webhook(database: Database, team_id: UUID) -> WebhookRow:
    webhook = WebhookRow(team_id=team_id, display_name="a", url="https://a", event_list=[], is_enabled=True, secret="a")
    for name, value in CREATOR.items():
        setattr(webhook, name, value)
    insert(database, webhook)
    return webhook


def build_delivery(webhook: WebhookRow, **columns: Any) -> WebhookDeliveryRow:
    named = {"team_id": webhook.team_id, "webhook_id": webhook.id, "event_id": new_id(), "event_type": "a", "body": ""}
    return WebhookDeliveryRow(**named, **columns)


def insert_many_imports(database: Database) -> type[Row]:
    teams = insert_teams(database, [TeamSpec()] * 2)
    insert(database, *(build_import(teams[n % 2], finished_at=OLD) for n in range(MANY)))
    insert(database, build_import(teams[0]), build_import(teams[0], finished_at=now()))
    return ImportRow


def insert_many_sessions(database: Database) -> type[Row]:
    user = UserRow(email_address="a", email_key="a", first_name="a", last_name="a", password_hash="a")
    insert(database, user)
    ended = [build_sign_in(user.id, ended_at=OLD) for _ in range(PAGE)]
    expired = [build_sign_in(user.id, expires_at=OLD) for _ in range(MANY - PAGE)]
    insert(database, *ended, *expired, build_sign_in(user.id), build_sign_in(user.id, ended_at=now()))
    return SignInRow


def insert_many_spent_tokens(database: Database) -> type[Row]:
    """Insert used refresh tokens of one session, all used at the same time, and some of reset links."""
    insert_many_sessions(database)
    with database.reading() as session:
        kept = session.scalars(select(SignInRow.id).where(SignInRow.ended_at > OLD + timedelta(days=1))).one()
        user_id = session.scalars(select(UserRow.id)).one()
    used = [SpentTokenRow(token_hash=f"{n}", sign_in_id=kept, spent_at=OLD) for n in range(MANY)]
    links = [PasswordResetRow(token_hash=f"{n}", user_id=user_id, expires_at=OLD) for n in range(3)]
    recent = [SpentTokenRow(token_hash=f"recent {n}", sign_in_id=kept) for n in range(2)]
    insert(database, *used, *links, *recent)
    return SpentTokenRow


def insert_many_deliveries(database: Database) -> type[Row]:
    [team_id] = insert_teams(database, [TeamSpec()])
    webhook = insert_webhook(database, team_id)
    insert(database, *(build_delivery(webhook, delivery_state="delivered", created_at=OLD) for _ in range(MANY)))
    insert(database, build_delivery(webhook, created_at=OLD), build_delivery(webhook, delivery_state="delivered"))
    return WebhookDeliveryRow


@contextmanager
def count_deleted(database: Database, table: type[Row]) -> Iterator[list[int]]:
    """Yield a list to which each DELETE of the table's rows adds how many they were."""
    deleted = list[int]()

    def add(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.split()[:3] == ["DELETE", "FROM", table.__tablename__]:
            deleted.append(cursor.rowcount)

    event.listen(database.engine, "after_cursor_execute", add)
    yield deleted
    event.remove(database.engine, "after_cursor_execute", add)


DELETIONS = [
    pytest.param(insert_many_imports, delete_old_imports, id="imports"),
    pytest.param(insert_many_sessions, delete_expired_identity_rows, id="sessions"),
    pytest.param(insert_many_spent_tokens, delete_expired_identity_rows, id="spent tokens"),
    pytest.param(insert_many_deliveries, delete_old_deliveries, id="deliveries"),
]


@pytest.mark.parametrize(("insert_many", "delete"), DELETIONS)
def test_delete_many_expired_rows_deletes_a_page_at_a_time_and_keeps_the_others(
    database: Database, insert_many: Callable[[Database], type[Row]], delete: Callable[[JobRun], None]
) -> None:
    table = insert_many(database)
    with count_deleted(database, table) as deleted:
        delete(JobRun(database, "deletion"))
    assert (sum(deleted), max(deleted) <= PAGE) == (MANY, True)
    assert count(database, table) == 2


@pytest.mark.parametrize(("insert_many", "delete"), DELETIONS)
@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_delete_many_expired_rows_ends_between_two_pages_if_it_is_stopped(
    database: Database, insert_many: Callable[[Database], type[Row]], delete: Callable[[JobRun], None]
) -> None:
    table = insert_many(database)
    with count_deleted(database, table) as deleted:
        run = JobRun(database, "deletion", lambda: not deleted)
        with pytest.raises(RunStopped):
            delete(run)
    assert 0 < sum(deleted) <= PAGE


def insert_full_team(database: Database, team_id: UUID) -> None:
    with database.writing(team_id) as session:
        session.execute(update(TeamRow).where(TeamRow.id == team_id).values(quota_bytes=10))
        session.execute(update(TeamTotalsRow).where(TeamTotalsRow.team_id == team_id).values(stored_bytes=9))


def insert_silent_machine(database: Database, team_id: UUID) -> None:
    named = {"display_name": "a", "key_prefix": "ak-", "key_hash": f"{new_id()}"}
    key = CredentialRow(id=new_id(), team_id=team_id, kind="agent", access="write", **named)
    texts = dict.fromkeys(("agent_status", "agent_version", "platform_arch", "sync_phase"), "a")
    numbers = {"bytes_held": 0, "removal_waiting": 0}
    machine = AgentRow(team_id=team_id, agent_id="a", credential_id=key.id, last_heartbeat=OLD, **texts, **numbers)
    insert(database, key, machine)


def count_events(database: Database, team_id: UUID) -> int:
    return count(database, AuditEventRow, AuditEventRow.team_id == team_id)


def insert_old_delivery(database: Database, team_id: UUID) -> None:
    webhook = insert_webhook(database, team_id)
    insert(database, build_delivery(webhook, delivery_state="delivered", created_at=OLD))


def insert_old_import(database: Database, team_id: UUID) -> None:
    insert(database, build_import(team_id, finished_at=OLD))


def count_missing(database: Database, team_id: UUID, table: Any) -> int:
    """Return 1 if the team's only row was deleted."""
    return 1 - count(database, table, table.team_id == team_id)


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("insert_work", "work", "count_done"),
    [
        pytest.param(
            insert_full_team, partial(record_quota_events, settings=Settings()), count_events, id="quota events"
        ),
        pytest.param(insert_silent_machine, record_unhealthy_agents, count_events, id="unhealthy machines"),
        pytest.param(
            insert_old_delivery,
            delete_old_deliveries,
            partial(count_missing, table=WebhookDeliveryRow),
            id="old deliveries",
        ),
        pytest.param(insert_old_import, delete_old_imports, partial(count_missing, table=ImportRow), id="old imports"),
    ],
)
def test_job_leaves_out_a_team_whose_lock_is_held_and_goes_on_with_others(
    database: Database,
    migrated_url: str,
    insert_work: Callable[[Database, UUID], None],
    work: Callable[[JobRun], None],
    count_done: Callable[[Database, UUID], int],
) -> None:
    teams = insert_teams(database, [TeamSpec()] * 3)
    for team_id in teams:
        insert_work(database, team_id)
    locked, other = teams[0], Database(migrated_url)
    with other.writing(locked) as session:
        session.execute(select(1))  # begins the transaction
        run = JobRun(database, "job")
        work(run)
    other.close()
    assert run.failed_teams == {locked}
    assert [count_done(database, team_id) for team_id in teams] == [0, 1, 1]
    work(JobRun(database, "job"))
    assert [count_done(database, team_id) for team_id in teams] == [1, 1, 1]


def test_run_pages_fails_if_a_team_was_left_out_and_does_the_work_of_others(database: Database) -> None:
    teams, done = insert_teams(database, [TeamSpec()] * 2), list[UUID]()

    def work_for(team_id: UUID) -> None:
        if team_id == teams[0]:
            raise KeyError("a row that cannot be read")
        done.append(team_id)

    def work(run: JobRun) -> None:
        for team_id in teams:
            run.call_for_team(team_id, partial(work_for, team_id))

    with pytest.raises(Unavailable, match="1 team"):
        run_pages(database, "job", Interruption(), work)
    assert done == [teams[1]]


def test_run_pages_ends_before_the_next_team_if_it_is_interrupted(database: Database) -> None:
    interruption, done = Interruption(), list[str]()

    def work_for(team: str) -> None:
        done.append(team)
        interruption.stop()

    def work(run: JobRun) -> None:
        for team_id, team in zip(insert_teams(database, [TeamSpec()] * 2), ("first", "second"), strict=True):
            run.call_for_team(team_id, partial(work_for, team))

    assert not run_pages(database, "job", interruption, work)
    assert done == ["first"]
