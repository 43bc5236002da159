"""What machines report, and what it means for the roll-out that they are in."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from modelyard.server.collections.tables import RolloutRow
from modelyard.server.models.replicas.tables import AgentModelRow
from tests.server.agents.machine import Machine, build_states
from tests.server.collections.studio import KAORI, Studio
from tests.server.harness import ApiCaller, Harness

WRITTEN = "'kaori.safetensors' is being written. It is checked again when that has ended."


@pytest.fixture
def studio(shared_registry: Harness, team: ApiCaller) -> Studio:
    return Studio(shared_registry, team)


def set_reported_before(studio: Studio, before: timedelta) -> None:
    """Move the reports of kaori into the past."""
    assert studio.team.team_id is not None
    with studio.registry.resources.database.writing(UUID(studio.team.team_id)) as session:
        for row in session.scalars(select(AgentModelRow).where(AgentModelRow.model_id == UUID(studio.kaori))):
            row.reported_at -= before


def read_canary(studio: Studio, rollout: str) -> tuple[str, dict[str, Any]]:
    """Return the state of a roll-out, and its canary."""
    shown = studio.read(rollout)
    return shown["state"], shown["progress"]["machine_list"][0]


def test_model_blocked_for_a_moment_does_not_stop_the_rollout(studio: Studio) -> None:
    rollout = studio.start(is_automatic=True)
    studio.canary.begin(build_states(studio.kaori, state="blocked", reason=WRITTEN), "two")
    state, canary = read_canary(studio, rollout)
    assert (state, canary["state"], canary["reason"]) == ("canary", "waiting", WRITTEN)
    studio.canary.report(build_states(studio.kaori))
    assert studio.read(rollout)["state"] == "rolling_out"


def test_model_blocked_for_a_minute_stops_the_rollout(studio: Studio) -> None:
    rollout = studio.start(is_automatic=True)
    studio.canary.begin(build_states(studio.kaori, state="blocked", reason="The disk is full."), "two")
    set_reported_before(studio, timedelta(seconds=61))
    shown = studio.read(rollout)
    assert (shown["state"], shown["reason"]) == ("failed", f"'canary-1': {KAORI}: The disk is full.")


PROBLEM = "No models folder can be used."


def set_started_before(studio: Studio, rollout: str, before: timedelta) -> None:
    """Move the start of a roll-out into the past."""
    assert studio.team.team_id is not None
    with studio.registry.resources.database.writing(UUID(studio.team.team_id)) as session:
        session.get_one(RolloutRow, UUID(rollout[-36:])).created_at -= before


def test_problem_from_before_the_start_is_a_reason_to_wait(studio: Studio) -> None:
    studio.canary.beat(problem=PROBLEM)
    rollout = studio.start()
    state, canary = read_canary(studio, rollout)
    assert (state, canary["state"], canary["reason"]) == ("canary", "waiting", PROBLEM)
    studio.canary.begin(build_states(studio.kaori), "two")
    assert studio.read(rollout)["state"] == "waiting_for_approval"


def test_problem_of_incomplete_canary_stops_the_rollout_after_a_minute(studio: Studio) -> None:
    rollout = studio.start()
    studio.canary.beat(problem=PROBLEM)
    assert studio.read(rollout)["state"] == "canary"
    set_started_before(studio, rollout, timedelta(seconds=60))
    shown = studio.read(rollout)
    assert (shown["state"], shown["reason"]) == ("failed", f"'canary-1': {PROBLEM}")
    [machine] = shown["progress"]["machine_list"]
    assert (machine["model_path"], machine["reason"]) == (None, PROBLEM)


def test_paused_canary_waits_with_reason(studio: Studio) -> None:
    rollout = studio.start()
    assert studio.team.put("/agents/canary-1", paused=True).status_code == 200
    state, canary = read_canary(studio, rollout)
    assert (state, canary["state"], canary["reason"]) == ("canary", "waiting", "The machine is paused.")


def test_canary_that_changes_other_models_stays_ready(studio: Studio) -> None:
    rollout = studio.start()
    studio.canary.begin(build_states(studio.kaori), "two")
    set_reported_before(studio, timedelta(seconds=1))
    assert studio.read(rollout)["state"] == "waiting_for_approval"
    studio.canary.beat(agent_status="syncing")
    assert studio.read(rollout)["state"] == "waiting_for_approval"
    studio.canary.report(build_states(studio.kaori, state="downloading"))
    assert studio.read(rollout)["state"] == "canary"


def test_rollout_to_machines_that_change_other_models_all_the_time_finishes(studio: Studio) -> None:
    rollout = studio.start(is_automatic=True)
    # In one heartbeat: the job must not find the canary ready and idle.
    studio.canary.series, studio.canary.number = "two", 1
    whole = {"model_list": build_states(studio.kaori), "is_whole": True, "is_last": True}
    studio.canary.beat(agent_status="syncing", **whole)
    assert studio.read(rollout)["state"] == "canary"
    set_reported_before(studio, timedelta(seconds=60))
    assert studio.read(rollout)["state"] == "rolling_out"
    studio.other.beat(agent_status="syncing")
    assert studio.read(rollout)["state"] == "rolling_out"
    studio.other.begin(build_states(studio.kaori), "two")
    studio.other.beat(agent_status="syncing")
    assert studio.read(rollout)["state"] == "finished"


def test_rollout_whose_canaries_are_gone_says_so_and_is_not_approved(studio: Studio) -> None:
    other = Machine(studio.canary.key, "canary-2", ("gpu24",))
    other.beat()
    assert studio.team.put("/agents/canary-2", agent_labels=["trial"]).status_code == 200
    rollout = studio.start(canary_label="trial")
    assert studio.read(rollout)["reason"] is None
    assert studio.team.put("/agents/canary-2", agent_labels=[]).status_code == 200
    shown = studio.read(rollout)
    assert (shown["state"], shown["obstacle"]) == ("canary", "canaries_gone")
    assert "No subscribed machine has the label" in shown["reason"]
    assert "No subscribed machine has the label" in studio.act(rollout, "approve", 409)["detail"]
    assert studio.team.put("/agents/canary-2", agent_labels=["trial"]).status_code == 200
    shown = studio.read(rollout)
    assert (shown["reason"], shown["obstacle"]) == (None, None)
