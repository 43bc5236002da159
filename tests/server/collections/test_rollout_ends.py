"""How roll-outs end other than by finishing, and what the next one starts from."""

from uuid import UUID

import pytest
from sqlalchemy import delete, update

from modelyard.server.collections.tables import RolloutRow
from modelyard.server.models.tables import ModelVersionRow
from tests.server.agents.machine import build_states, set_last_heartbeat_ago
from tests.server.collections.studio import INK, KAORI, Studio
from tests.server.harness import ApiCaller, Harness, make_model_file

pytestmark = pytest.mark.slow


@pytest.fixture
def studio(shared_registry: Harness, team: ApiCaller) -> Studio:
    return Studio(shared_registry, team)


def stop_while_rolling_out(studio: Studio) -> str:
    """Stop a roll-out of version 2 that all machines get, and that one of them never reaches."""
    rollout = studio.start(canary_label=None)
    studio.canary.begin(build_states(studio.kaori), "two")
    assert studio.read(rollout)["state"] == "rolling_out"
    studio.act(rollout, "stop")
    return rollout


def test_start_next_after_stop_while_rolling_out_keeps_version_of_other_machines(studio: Studio) -> None:
    stop_while_rolling_out(studio)
    assert studio.team.get(studio.path).json()["rolled_out_version"] == 2
    newest = studio.add_version(studio.ink, studio.kaori)
    rollout = studio.start(newest)
    assert studio.list_desired() == ([INK, KAORI], [KAORI])
    assert studio.read(rollout)["previous_version"] == 2
    studio.act(rollout, "roll-back")
    assert studio.list_desired() == ([KAORI], [KAORI])


def test_roll_back_after_stop_while_rolling_out_restores_version_before(studio: Studio) -> None:
    rollout = stop_while_rolling_out(studio)
    assert studio.list_desired() == ([KAORI], [KAORI])
    studio.act(rollout, "roll-back")
    assert studio.list_desired() == ([INK], [INK])


def test_start_same_version_after_stop_while_rolling_out_has_same_version_before(studio: Studio) -> None:
    stop_while_rolling_out(studio)
    again = studio.start(canary_label=None)
    assert studio.read(again)["previous_version"] == 1
    studio.other.begin(build_states(studio.kaori), "two")
    assert studio.read(again)["state"] == "finished"
    studio.act(again, "roll-back")
    assert studio.list_desired() == ([INK], [INK])


def test_start_version_before_after_failure_says_to_roll_back(studio: Studio) -> None:
    rollout = studio.start()
    studio.canary.begin(build_states(studio.kaori, state="conflict", reason="A file of yours is there."), "two")
    assert studio.read(rollout)["state"] == "failed"
    answer = studio.team.post(f"{studio.path}/rollouts", version=1)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "version"
    assert "Roll back" in error["message"]


def purge_version(studio: Studio, model_id: str) -> None:
    """Delete the record of a model's first version, as a purge does."""
    assert studio.team.team_id is not None
    is_version = ModelVersionRow.model_id == UUID(model_id), ModelVersionRow.number == 1
    with studio.registry.resources.database.writing(UUID(studio.team.team_id)) as session:
        session.execute(delete(ModelVersionRow).where(*is_version))


@pytest.fixture
def oil(studio: Studio) -> str:
    """Return a model with two versions: version 3 of the pinned collection has the first, version 4 the second."""
    oil = studio.team.register(make_model_file("oil"), "loras/oil.safetensors", required_labels=["none"])
    assert studio.add_version(oil) == 3
    studio.team.register(make_model_file("oil", 99), "loras/oil.safetensors", replaces=oil)
    assert studio.add_version(oil, studio.ink) == 4
    assert studio.team.put(studio.path, is_pinned=True).status_code == 200
    return oil


def test_start_pinned_version_with_purged_model_names_it(studio: Studio, oil: str) -> None:
    purge_version(studio, oil)
    answer = studio.team.post(f"{studio.path}/rollouts", version=3)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "version"
    assert "'loras/oil.safetensors' version 1" in error["message"]
    assert studio.team.put(studio.path, is_pinned=False).status_code == 200
    studio.start(3)


def test_roll_back_to_pinned_version_with_purged_model_is_refused(studio: Studio, oil: str) -> None:
    for version, models in ((3, [oil]), (4, [oil, studio.ink])):
        rollout = studio.start(version, canary_label=None)
        for machine in (studio.canary, studio.other):
            states = [
                state | {"version": version - 2 if state["model_id"] == oil else 1} for state in build_states(*models)
            ]
            machine.begin(states, f"version-{version}")
        assert studio.read(rollout)["state"] == "finished"
    purge_version(studio, oil)
    assert "'loras/oil.safetensors' version 1" in studio.act(rollout, "roll-back", 409)["detail"]
    assert studio.team.get(studio.path).json()["rolled_out_version"] == 4


def test_rollout_started_by_a_server_whose_clock_is_behind_is_the_last_one(studio: Studio) -> None:
    stopped = UUID(studio.start()[-36:])
    # An id of a server whose clock is an hour ahead.
    ahead = UUID(int=stopped.int + (3_600_000 << 80))
    assert studio.team.team_id is not None
    with studio.registry.resources.database.writing(UUID(studio.team.team_id)) as session:
        session.execute(update(RolloutRow).where(RolloutRow.id == stopped).values(id=ahead))
    studio.act(f"{studio.path}/rollouts/{ahead}", "stop")
    again = studio.start()
    listed = studio.team.get(f"{studio.path}/rollouts").json()["rollout_list"]
    assert [each["id"] for each in listed] == [again[-36:], str(ahead)]
    studio.act(again, "stop")


def test_stopped_rollout_keeps_no_advice_about_offline_canaries(studio: Studio) -> None:
    rollout = studio.start()
    set_last_heartbeat_ago(studio.registry, studio.team, 100)
    assert studio.read(rollout)["obstacle"] == "canaries_offline"
    studio.act(rollout, "stop")
    shown = studio.team.get(rollout).json()
    assert (shown["state"], shown["obstacle"], shown["reason"]) == ("stopped", None, None)
