"""Retention of versions in many teams: what one team has or fails at does not keep the garbage of the others."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, event, func, select, text, update

from modelyard.server.audit.tables import AuditEventRow
from modelyard.server.database.engine import Limits
from modelyard.server.database.job_run import PAGE
from modelyard.server.database.session import Database
from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import CollectionResult, CollectionRun, RunOptions
from modelyard.server.models.tables import ModelVersionRow
from modelyard.server.settings import Settings
from modelyard.server.storage.local.store import LocalStore
from modelyard.server.teams.tables import TeamRow
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.problems import Unavailable
from tests.server.garbage.version_rows import TeamSpec, insert_models, insert_teams, list_version_numbers
from tests.server.query_plans import record_statements

pytestmark = pytest.mark.slow

TEAMS = 1_000
EXPIRED = TeamSpec(kept_versions=1, version_counts=(3,))
# What only one of the databases has: rows with JSON that cannot be read and one lock for all, or a lock for each team.
on_sqlite = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
# How long a transaction waits for a lock that is held all the time, in milliseconds.
SHORT = Limits(busy=500)


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    database = Database(migrated_url, SHORT)
    yield database
    database.close()


@pytest.fixture
def other(migrated_url: str) -> Iterator[Database]:
    """The same database, as another process has it open."""
    database = Database(migrated_url)
    yield database
    database.close()


class Collector:
    """Collects garbage of a database, with an empty store."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database, self._folder = database, folder

    def collect(self, may_continue: Callable[[], bool] = lambda: True, **options: Any) -> CollectionResult:
        store, settings = LocalStore(self._folder, b"x" * 32), Settings(data_dir=self._folder)
        return collect_garbage(self._database, store, settings, RunOptions(**options), may_continue)


@pytest.fixture
def collector(database: Database, tmp_path: Path) -> Collector:
    return Collector(database, tmp_path)


def list_purged(database: Database) -> list[UUID]:
    """Return the team of each purged version, in the order of the purges."""
    query = select(AuditEventRow.team_id).where(AuditEventRow.action == "version.purged").order_by(AuditEventRow.id)
    with database.reading() as session:
        return list(session.scalars(query))


@pytest.mark.extended(reason="takes a minute; that statements do not grow with the number of settings is tested below")
def test_collect_for_a_thousand_teams_with_different_settings_purges_what_is_expired_in_each(
    database: Database, collector: Collector
) -> None:
    kept = [1 + number % 3 for number in range(TEAMS)]
    teams = insert_teams(database, [TeamSpec(kept[number], number, (5,)) for number in range(TEAMS)])
    expected = sum(5 - count for count in kept)

    assert collector.collect(is_dry=True).versions == expected
    assert collector.collect().versions == expected
    numbers = list_version_numbers(database)
    assert [numbers[team_id] for team_id in teams] == [[*range(6 - count, 6)] for count in kept]


def test_collect_sends_no_longer_statements_for_many_teams_with_different_settings(
    database: Database, collector: Collector
) -> None:
    def measure_longest() -> int:
        with record_statements(database.engine) as statements:
            collector.collect(is_dry=True)
        return max(map(len, statements))

    insert_teams(database, [TeamSpec(1, 1, (5,)), TeamSpec(2, 2, (5,))])
    for_two = measure_longest()
    insert_teams(database, [TeamSpec(1 + number % 3, 3 + number, (5,)) for number in range(40)])
    assert measure_longest() == for_two


def test_collect_dry_run_counts_a_blob_of_many_expired_versions_once(database: Database, collector: Collector) -> None:
    [team_id] = insert_teams(database, [TeamSpec(kept_versions=1, version_counts=(3 * PAGE,))])
    with database.writing(team_id) as session:
        shared = session.scalar(select(ModelVersionRow.blob_id).where(ModelVersionRow.number == 1))
        session.execute(update(ModelVersionRow).where(ModelVersionRow.number <= 2 * PAGE).values(blob_id=shared))
        session.execute(delete(BlobRow).where(BlobRow.id.not_in(select(ModelVersionRow.blob_id))))

    counted = collector.collect(is_dry=True, grace=timedelta(0))

    assert (counted.versions, counted.files) == (3 * PAGE - 1, PAGE)


def test_collect_for_teams_without_expired_versions_sends_a_statement_for_each_page_of_teams(
    database: Database, collector: Collector
) -> None:
    def count_statements() -> int:
        with record_statements(database.engine) as statements:
            assert collector.collect(is_thorough=False) == CollectionResult()
        return sum(statement.startswith("SELECT teams") for statement in statements)

    insert_teams(database, [TeamSpec(version_counts=(2, 5))])
    for_one = count_statements()
    insert_teams(database, [TeamSpec(version_counts=(2,)) for _ in range(3 * PAGE)])
    assert count_statements() == for_one + 3


def test_collect_purges_of_each_team_before_the_second_batch_of_a_large_one(
    database: Database, collector: Collector
) -> None:
    [large, *small] = insert_teams(database, [TeamSpec(version_counts=(3 * PAGE,)), *[EXPIRED] * 10])
    collector.collect()
    purged = list_purged(database)
    last_of_small = max(index for index, team_id in enumerate(purged) if team_id != large)
    assert set(purged) == {large, *small}
    assert purged[:last_of_small].count(large) <= PAGE
    assert purged.count(large) == 3 * PAGE - 5


def test_collect_runs_that_end_early_do_not_purge_of_the_same_team_each_time(
    database: Database, collector: Collector
) -> None:
    """Each run ends after the first team, to which new versions come before the next one."""
    teams = insert_teams(database, [EXPIRED] * 10)
    served = list[UUID]()
    for _ in range(20):
        before = len(list_purged(database))
        assert not collector.collect(lambda before=before: len(list_purged(database)) == before).is_complete  # type: ignore[misc]  # mypy: a default makes it another type
        served += set(list_purged(database)[before:])
        insert_models(database, {served[-1]: EXPIRED})
    assert len(served) == 20
    assert 1 < len(set(served)) <= len(teams)


def test_collect_uses_the_setting_that_a_team_has_when_its_versions_are_deleted(
    database: Database, other: Database, collector: Collector
) -> None:
    [team_id] = insert_teams(database, [EXPIRED])

    def keep_more(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT models.id, models.version_count"):
            with other.writing(team_id) as session:
                session.execute(update(TeamRow).values(kept_versions=2))

    event.listen(database.engine, "before_cursor_execute", keep_more)
    assert collector.collect().versions == 1
    assert list_version_numbers(database) == {team_id: [2, 3]}


@on_sqlite
def test_collect_team_with_unreadable_rows_does_not_keep_the_garbage_of_others(
    database: Database, collector: Collector
) -> None:
    [broken, *others] = insert_teams(database, [EXPIRED] * 20)
    facts = text("UPDATE model_versions SET facts = :facts WHERE team_id = :team_id")
    with database.writing() as session:
        session.execute(facts, {"facts": "{", "team_id": broken.hex})
    collected = collector.collect()
    assert (collected.failed_teams, collected.versions, collected.is_complete) == (1, 2 * len(others), True)
    assert list_version_numbers(database)[broken] == [1, 2, 3]

    with database.writing() as session:
        session.execute(facts, {"facts": "{}", "team_id": broken.hex})
    assert collector.collect() == CollectionResult(versions=2)


@on_postgresql
def test_collect_team_whose_lock_is_held_does_not_keep_the_garbage_of_others(
    database: Database, other: Database, collector: Collector
) -> None:
    [locked, *others] = insert_teams(database, [EXPIRED] * 5)
    with other.writing(locked) as session:
        session.execute(select(1))  # begins the transaction
        collected = collector.collect()
    assert (collected.failed_teams, collected.versions) == (1, 2 * len(others))
    assert list_version_numbers(database)[locked] == [1, 2, 3]
    assert collector.collect() == CollectionResult(versions=2)


@on_sqlite
def test_collect_ends_if_the_database_refuses_every_transaction(
    database: Database, other: Database, collector: Collector
) -> None:
    teams = insert_teams(database, [EXPIRED] * 12)
    with other.writing(teams[0]) as session:
        session.execute(select(1))  # begins the transaction
        with pytest.raises(Unavailable):
            collector.collect()
    assert collector.collect() == CollectionResult(versions=2 * len(teams))


@on_postgresql
def test_collect_many_teams_in_a_row_whose_locks_are_held_do_not_keep_the_garbage_of_others(
    database: Database, other: Database, collector: Collector
) -> None:
    *locked, free = insert_teams(database, [EXPIRED] * 13)
    with other.writing(locked[0]) as session:
        session.execute(select(1))  # begins the transaction
        for team_id in locked[1:]:
            session.execute(select(func.pg_advisory_xact_lock(team_id.int & (2**63 - 1))))
        collected = collector.collect()
    assert (collected.failed_teams, collected.versions) == (len(locked), 2)
    assert set(list_purged(database)) == {free}


def test_call_for_team_that_failed_is_left_out_until_the_next_step(database: Database, tmp_path: Path) -> None:
    store, settings = LocalStore(tmp_path, b"x" * 32), Settings(data_dir=tmp_path)
    run = CollectionRun(database, store, settings, RunOptions(), lambda: True)
    [team_id], called = insert_teams(database, [EXPIRED]), list[str]()

    def fail() -> None:
        called.append("failed")
        raise ValueError

    def fail_twice(run: CollectionRun) -> None:
        for _ in range(2):
            run.call_for_team(team_id, fail)

    run.run_step(fail_twice)
    assert called == ["failed"]
    assert run.run_step(lambda run: run.call_for_team(team_id, lambda: "called")) == "called"
    assert run.failed_teams == {team_id}
