"""Leases of imports: the limit of a host holds, however many workers lease at the same time."""

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from modelyard.server.database.base import new_id
from modelyard.server.database.session import Database
from modelyard.server.fairness.accounts import Account
from modelyard.server.identity.state import Identity
from modelyard.server.imports.conversion_routes import PLAN_QUEUE, PLANS, build_conversion_limiter
from modelyard.server.imports.import_leases import (
    CONVERSION_LIMITS,
    HOST_LIMITS,
    LeasedImport,
    finish_cancelled_import,
    finish_import,
    lease_next_import,
    release_import,
    renew_import,
)
from modelyard.server.imports.tables import ImportRow
from modelyard.server.resources import Resources, open_resources
from modelyard.server.settings import Settings
from modelyard.wire import problems
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT
from tests.server.harness import Harness
from tests.waiting import PATIENCE_SECONDS

WORKERS, ROUNDS = 6, 8


def test_lease_by_six_workers_at_once_three_imports_from_a_host_and_two_of_a_team(settings: Settings) -> None:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources:
        for team in _create_teams(resources, 2):
            _add_imports(resources, team)
        _lease_at_once(resources.database)


def test_lease_imports_of_one_person_leaves_a_place_at_the_host_to_another_person(settings: Settings) -> None:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources:
        teams, person, other = _create_teams(resources, 3), new_id(), new_id()
        for team in teams[:2]:
            _add_imports(resources, team, 3, person_id=person)
        people = [_get_person(lease_next_import(resources.database)) for _ in range(3)]
        assert people == [person, person, None]
        _add_imports(resources, teams[2], 2, person_id=other)
        people = [_get_person(lease_next_import(resources.database)) for _ in range(2)]
        assert people == [other, None]


def _get_person(leased: LeasedImport | None) -> UUID | None:
    """Return whose import was leased; None if none was."""
    return None if leased is None else leased.row.person_id


def _add_imports(resources: Resources, team_id: UUID, count: int = WORKERS, **columns: Any) -> None:
    with resources.database.writing() as session:
        for number in range(count):
            columns = {"host": "models.example", "url": f"https://models.example/{number}"} | columns
            session.add(
                ImportRow(
                    team_id=team_id,
                    request={"model_path": "loras/ink.safetensors"},
                    storage_key=str(new_id()),
                    file_size=1,
                    creator_kind="user",
                    creator_name="Ada",
                    **columns,
                )
            )


def test_lease_conversions_of_three_teams_one_of_a_team_and_two_in_all(settings: Settings) -> None:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources:
        with Harness.without_jobs(resources) as registry:
            teams = [UUID(registry.team_id), *(UUID(registry.create_team().team_id) for _ in range(2))]
        for team in teams:
            _add_imports(resources, team, 2, host=f"model:{team}", derived_from={"version": 1})
        database = resources.database
        leased = [found for _ in range(WORKERS) if (found := lease_next_import(database)) is not None]
        assert len(leased) == CONVERSION_LIMITS.total == len({each.row.team_id for each in leased})
        _add_imports(resources, teams[0], 1)
        link = lease_next_import(database)
        assert link is not None
        assert link.row.derived_from is None
        release_import(database, leased[0])
        assert lease_next_import(database) is not None


def test_lease_conversions_of_three_teams_with_queues_gives_each_team_its_turns(settings: Settings) -> None:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources:
        teams = _create_teams(resources, 3)
        for team in teams:
            _add_conversions(resources, team, 4)
        database = resources.database
        running = [lease_next_import(database), lease_next_import(database)]
        turns = Counter[UUID]()
        for _ in range(6):
            ended = running.pop(0)
            assert ended is not None
            turns[ended.row.team_id] += 1
            with database.writing() as session:
                finish_import(session, ended, "done")
            running.append(lease_next_import(database))
        assert turns == dict.fromkeys(teams, 2)


def test_lease_conversions_of_one_person_in_three_teams_one_at_a_time(settings: Settings) -> None:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources:
        teams, person, other = _create_teams(resources, 4), new_id(), new_id()
        for team in teams[:3]:
            _add_conversions(resources, team, 2, person_id=person)
        assert lease_next_import(resources.database) is not None
        assert lease_next_import(resources.database) is None
        _add_conversions(resources, teams[3], 1, person_id=other)
        leased = lease_next_import(resources.database)
        assert leased is not None
        assert leased.row.person_id == other


def test_lease_imports_of_two_people_of_one_team_gives_each_their_turns(settings: Settings) -> None:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources:
        [team], people = _create_teams(resources, 1), (new_id(), new_id())
        for number, person in enumerate((people[0], people[0], people[0], people[1], people[1])):
            columns = {"host": f"{number}.example", "url": f"https://{number}.example/file"}
            _add_imports(resources, team, 1, person_id=person, **columns)
        turns = []
        for _ in range(4):
            leased = lease_next_import(resources.database)
            assert leased is not None
            turns.append(people.index(leased.row.person_id or people[0]))
            with resources.database.writing() as session:
                finish_import(session, leased, "done")
        assert turns == [0, 1, 0, 1]


def test_lease_imports_of_one_person_in_three_teams_take_turns_with_another_person(settings: Settings) -> None:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources:
        teams, person, other = _create_teams(resources, 4), new_id(), new_id()
        for number, team in enumerate(teams):
            columns = {"host": f"{number}.example", "url": f"https://{number}.example/file"}
            _add_imports(resources, team, 2, person_id=other if number == 3 else person, **columns)
        leased = [lease_next_import(resources.database) for _ in range(4)]
        assert [each.row.person_id for each in leased if each is not None].count(other) == 2


def test_lease_without_conversions_returns_only_other_imports(settings: Settings) -> None:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources:
        [team] = _create_teams(resources, 1)
        _add_conversions(resources, team, 1)
        assert lease_next_import(resources.database, may_convert=False) is None
        _add_imports(resources, team, 1)
        leased = lease_next_import(resources.database, may_convert=False)
        assert leased is not None
        assert leased.row.derived_from is None


def test_cancelled_conversion_counts_until_its_run_has_ended(settings: Settings) -> None:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources, Harness.without_jobs(resources) as registry:
        _add_conversions(resources, UUID(registry.team_id), 2)
        database = resources.database
        leased = lease_next_import(database)
        assert leased is not None
        assert registry.owner.post(f"/imports/{leased.row.id}/cancel").is_success
        assert lease_next_import(database) is None
        assert not renew_import(database, leased)
        release_import(database, leased)
        assert lease_next_import(database) is not None


def _create_teams(resources: Resources, count: int) -> list[UUID]:
    with Harness.without_jobs(resources) as registry:
        return [UUID(registry.create_team().team_id) for _ in range(count)]


def _add_conversions(resources: Resources, team: UUID, count: int, **columns: Any) -> None:
    _add_imports(resources, team, count, host=f"model:{team}", derived_from={"version": 1}, **columns)


async def _count_refused(requests: int) -> int:
    """Send requests of one team to the limiter while the first one runs; return how many are refused."""
    limiter, has_begun, may_end = build_conversion_limiter(), threading.Event(), threading.Event()

    def run() -> None:
        has_begun.set()
        may_end.wait(PATIENCE_SECONDS)

    tasks = [asyncio.create_task(limiter.run(Account(team="studio"), run)) for _ in range(requests)]
    await asyncio.to_thread(has_begun.wait, PATIENCE_SECONDS)
    may_end.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, problems.Unavailable)]
    assert all(problem.facts["retry_after"] for problem in refused)
    return len(refused)


def test_requests_to_convert_wait_and_those_above_the_limit_are_refused() -> None:
    assert asyncio.run(_count_refused(PLANS.per_team + PLAN_QUEUE.per_team + 2)) == 2


async def _plan_for_another_team() -> str:
    """Return the result of a team's request while another team's requests run and wait."""
    limiter, may_end = build_conversion_limiter(), threading.Event()
    tasks = [
        asyncio.create_task(limiter.run(Account(team="studio"), partial(may_end.wait, PATIENCE_SECONDS)))
        for _ in range(PLANS.per_team + PLAN_QUEUE.per_team)
    ]
    await asyncio.sleep(0)
    try:
        return await limiter.run(Account(team="lab"), lambda: "planned")
    finally:
        may_end.set()
        await asyncio.gather(*tasks)


def test_requests_to_convert_of_one_team_leave_a_plan_to_another_team() -> None:
    assert asyncio.run(_plan_for_another_team()) == "planned"


def _lease_at_once(database: Database) -> None:
    barrier = threading.Barrier(WORKERS)

    def lease() -> LeasedImport | None:
        barrier.wait(PATIENCE_SECONDS)
        return lease_next_import(database)

    for _ in range(ROUNDS):
        with ThreadPoolExecutor(WORKERS) as threads:
            futures = [threads.submit(lease) for _ in range(WORKERS)]
            leased = [found for future in futures if (found := future.result()) is not None]
        assert len(leased) == HOST_LIMITS.total
        assert max(Counter(each.row.team_id for each in leased).values()) == HOST_LIMITS.per_team
        for each in leased:
            release_import(database, each)


@pytest.mark.parametrize("is_queued_again", [False, True])
def test_finish_cancelled_import_is_done_unless_it_was_queued_again(settings: Settings, is_queued_again: bool) -> None:
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources, Harness.without_jobs(resources) as registry:
        _add_imports(resources, UUID(registry.team_id), 1)
        leased = lease_next_import(resources.database)
        assert leased is not None
        assert registry.owner.post(f"/imports/{leased.row.id}/cancel").status_code == 200
        if is_queued_again:
            with resources.database.writing() as session:
                session.execute(update(ImportRow).values(import_state="queued", storage_key=str(new_id())))
        with resources.database.writing() as session:
            assert finish_import(session, leased, "done") is False
            assert finish_cancelled_import(session, leased) is not is_queued_again
        with resources.database.reading() as session:
            state = session.get_one(ImportRow, leased.row.id).import_state
        assert state == ("queued" if is_queued_again else "done")
