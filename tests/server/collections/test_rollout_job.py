"""The job that moves roll-outs on, and approvals between two of its looks."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from modelyard.server.collections.rollouts.advancing import approve_rollout
from modelyard.server.collections.rollouts.job import RolloutAdvancer
from modelyard.server.collections.rollouts.progress import load_deciding_machines
from modelyard.server.collections.tables import CollectionRow, RolloutRow
from modelyard.server.leases import JobLease
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.wire.problems import RolloutConflict, Unavailable
from tests.server.agents.machine import build_states, set_last_heartbeat_ago
from tests.server.collections.studio import INK, KAORI, Studio
from tests.server.collections.test_rollout_queries import build_context
from tests.server.harness import ApiCaller, Harness
from tests.server.watched_database import WatchedDatabase
from tests.waiting import wait_until

REASON = "A file of yours is there."


@pytest.fixture
def studio(shared_registry: Harness, team: ApiCaller) -> Studio:
    return Studio(shared_registry, team)


def get_ids(studio: Studio, rollout: str) -> tuple[UUID, UUID]:
    assert studio.team.team_id is not None
    return UUID(studio.team.team_id), UUID(rollout[-36:])


def test_approve_after_canary_failed_fails_the_rollout(studio: Studio) -> None:
    rollout = studio.start()
    studio.canary.begin(build_states(studio.kaori), "two")
    assert studio.read(rollout)["state"] == "waiting_for_approval"
    studio.canary.report(build_states(studio.kaori, state="conflict", reason=REASON))
    answer = studio.act(rollout, "approve", 409)
    assert (answer["error_code"], answer["state"]) == ("rollout_conflict", "failed")
    assert REASON in answer["detail"]
    assert studio.list_desired() == ([KAORI], [INK])
    assert studio.list_events() == ["started", "waiting_for_approval", "failed"]


def start_broken_rollout(studio: Studio) -> tuple[UUID, UUID]:
    """Start a roll-out of another collection whose next step cannot be computed; return its team and id."""
    other = f"/collections/{studio.team.post('/collections', name='Summer', model_list=[]).json()['id']}"
    assert studio.team.post(f"{other}/subscriptions", label="gpu24").status_code == 201
    assert studio.team.put(other, is_held=True).status_code == 200
    assert studio.team.post(f"{other}/versions", model_list=[{"model_id": studio.ink}]).status_code == 201
    answer = studio.team.post(f"{other}/rollouts", version=2, canary_label="canary")
    assert answer.status_code == 201, answer.text
    ids = get_ids(studio, answer.json()["id"])
    with studio.registry.resources.database.writing(ids[0]) as session:
        session.get_one(RolloutRow, ids[1]).min_ready_seconds = 10**15
    return ids


def test_rollout_that_cannot_be_moved_on_does_not_keep_others_waiting(studio: Studio) -> None:
    rollout = studio.start(is_automatic=True)
    studio.canary.begin(build_states(studio.kaori), "two")
    broken = start_broken_rollout(studio)
    with pytest.raises(OverflowError) as error:
        RolloutAdvancer(studio.registry.resources.database).advance([broken, get_ids(studio, rollout)])
    assert error.value.__notes__ == [f"roll-out {broken[1]}"]
    assert studio.team.get(rollout).json()["state"] == "rolling_out"


def test_rollout_whose_look_takes_long_is_looked_at_less_often(studio: Studio) -> None:
    ids = get_ids(studio, studio.start())
    times = iter([0.0, 10.0, 15.0, 20.0, 114.0, 115.0])
    advancer = RolloutAdvancer(studio.registry.resources.database, lambda: next(times))
    assert ids in advancer.list_due()
    advancer.advance([ids])
    assert ids not in advancer.list_due()
    assert ids not in advancer.list_due()
    assert ids in advancer.list_due()


def count_loaded_machines(studio: Studio, rollout: str) -> int:
    """Return how many machines one look of the job loads."""
    database, (_, rollout_id) = studio.registry.resources.database, get_ids(studio, rollout)
    with database.reading() as session:
        row = session.get_one(RolloutRow, rollout_id)
        return len(load_deciding_machines(session, session.get_one(CollectionRow, row.collection_id), row))


def test_job_loads_canaries_then_all_unless_one_is_offline(studio: Studio) -> None:
    rollout = studio.start(is_automatic=True)
    assert count_loaded_machines(studio, rollout) == 1
    studio.canary.begin(build_states(studio.kaori), "two")
    assert studio.read(rollout)["state"] == "rolling_out"
    assert count_loaded_machines(studio, rollout) == 2
    set_last_heartbeat_ago(studio.registry, studio.team, 100)
    assert count_loaded_machines(studio, rollout) == 1
    assert studio.read(rollout)["state"] == "rolling_out"


@pytest.fixture
def paused_job(studio: Studio) -> Iterator[None]:
    """The registry's job does not update machines that are due."""
    lease = JobLease(studio.registry.resources.database, "due machines", timedelta(hours=1))
    wait_until(lease.acquire)
    yield
    lease.release(is_done=False)


def set_due(studio: Studio, *, is_due: bool) -> None:
    """Mark the team's machines as due, as a change does that has not updated them yet, or end that."""
    team_id = UUID(studio.team.team_id)
    with studio.registry.resources.database.writing(team_id) as session:
        for agent in session.scalars(select(AgentRow).where(AgentRow.team_id == team_id)):
            agent.subscriptions_due = is_due


@pytest.fixture
def due_rollout(studio: Studio, paused_job: None) -> str:
    """A roll-out whose canary has all models, and which waits since the machines of the team are due."""
    rollout = studio.start()
    set_due(studio, is_due=True)
    studio.canary.begin(build_states(studio.kaori), "two")
    return rollout


def test_machines_that_are_due_do_not_count_as_ready_and_keep_the_rollout_from_moving_on(
    studio: Studio, due_rollout: str
) -> None:
    read = studio.read(due_rollout)
    assert (read["state"], read["progress"]["canaries"]["waiting"]) == ("canary", 1)
    [canary] = read["progress"]["machine_list"]
    assert (canary["models_ready"], "not updated yet" in canary["reason"]) == (0, True)
    set_due(studio, is_due=False)
    assert studio.read(due_rollout)["state"] == "waiting_for_approval"
    assert studio.list_events() == ["started", "waiting_for_approval"]


def test_approve_updates_machines_that_are_due_before(studio: Studio, due_rollout: str) -> None:
    studio.act(due_rollout, "approve")
    assert studio.read(due_rollout)["state"] == "rolling_out"
    assert studio.list_desired() == ([KAORI], [KAORI])


def test_approve_is_refused_if_machines_that_are_due_cannot_be_updated(studio: Studio, due_rollout: str) -> None:
    set_due(studio, is_due=False)
    assert studio.read(due_rollout)["state"] == "waiting_for_approval"

    def change_and_refuse() -> None:
        set_due(studio, is_due=True)
        raise Unavailable("busy")

    set_due(studio, is_due=True)
    database = WatchedDatabase(studio.registry.resources.database, after_writing=change_and_refuse).as_database()
    ids = UUID(studio.path[-36:]), UUID(due_rollout[-36:])
    with pytest.raises(RolloutConflict) as error:
        approve_rollout(database, build_context(studio.team), *ids)
    assert "still getting what was changed before" in error.value.detail
    assert studio.read(due_rollout)["state"] == "waiting_for_approval"
    assert studio.list_desired() == ([KAORI], [INK])
