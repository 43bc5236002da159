"""Roll-outs: a version of a collection goes to machines with a label first, then to all, or back."""

from typing import Any
from uuid import uuid4

import pytest

from tests.server.agents.machine import Machine, build_states, set_last_heartbeat_ago
from tests.server.collections.studio import INK, KAORI, Studio
from tests.server.harness import ApiCaller, Harness, make_model_file

pytestmark = pytest.mark.slow

LISTED = "ComfyUI does not list 'kaori.safetensors'."


@pytest.fixture
def studio(shared_registry: Harness, team: ApiCaller) -> Studio:
    return Studio(shared_registry, team)


def test_held_version_reaches_machines_only_by_a_rollout(studio: Studio) -> None:
    assert studio.list_desired() == ([INK], [INK])
    collection = studio.team.get(studio.path).json()
    assert (collection["version"], collection["rolled_out_version"]) == (2, 1)
    # Machines do not have the newest version, so that another one does not reach them either.
    studio.hold(is_held=False)
    studio.add_version(studio.ink, studio.kaori)
    assert studio.list_desired() == ([INK], [INK])


def test_rollout_by_approval_reaches_canaries_then_all(studio: Studio) -> None:
    rollout = studio.start()
    assert studio.list_desired() == ([KAORI], [INK])
    shown = studio.read(rollout)
    assert (shown["state"], shown["previous_version"]) == ("canary", 1)
    assert [machine["state"] for machine in shown["progress"]["machine_list"]] == ["waiting"]
    assert shown["progress"]["others"]["held"] == 1
    assert studio.act(rollout, "approve", 409)["error_code"] == "rollout_conflict"

    studio.canary.begin(build_states(studio.kaori), "two")
    assert studio.read(rollout)["state"] == "waiting_for_approval"
    assert studio.list_desired() == ([KAORI], [INK])
    studio.act(rollout, "approve")
    studio.act(rollout, "approve")
    assert studio.list_desired() == ([KAORI], [KAORI])
    shown = studio.read(rollout)
    assert (shown["state"], shown["progress"]["others"]["waiting"]) == ("rolling_out", 1)

    studio.other.begin(build_states(studio.kaori), "two")
    shown = studio.read(rollout)
    assert (shown["state"], shown["progress"]) == ("finished", None)
    assert studio.team.get(studio.path).json()["rolled_out_version"] == 2
    assert studio.list_events() == ["started", "waiting_for_approval", "approved", "finished"]
    studio.add_version(studio.ink)
    assert studio.list_desired() == ([KAORI], [KAORI])


def test_collection_that_is_held_no_more_changes_machines_at_once(studio: Studio) -> None:
    rollout = studio.start(canary_label=None)
    for machine in (studio.canary, studio.other):
        machine.begin(build_states(studio.kaori), "two")
    assert studio.read(rollout)["state"] == "finished"
    studio.hold(is_held=False)
    studio.add_version(studio.ink)
    assert studio.list_desired() == ([INK], [INK])


@pytest.mark.parametrize("role", ["member", "integration"])
def test_only_admins_hold_a_collection(shared_registry: Harness, team: ApiCaller, role: str) -> None:
    if role == "integration":
        caller = shared_registry.create_key("integration", team)
    else:
        caller = shared_registry.create_member(role, team)
    created = caller.post("/collections", name="Summer", model_list=[]).json()["id"]
    assert caller.put(f"/collections/{created}", is_held=True).status_code == 403


def test_automatic_rollout_goes_on_when_canaries_are_ready(studio: Studio) -> None:
    rollout = studio.start(is_automatic=True)
    studio.canary.begin(build_states(studio.kaori), "two")
    assert studio.read(rollout)["state"] == "rolling_out"
    assert studio.list_desired() == ([KAORI], [KAORI])
    assert studio.list_events() == ["started", "continued"]


def test_rollout_without_canaries_reaches_all_at_once(studio: Studio) -> None:
    rollout = studio.start(canary_label=None)
    assert studio.list_desired() == ([KAORI], [KAORI])
    assert studio.read(rollout)["state"] == "rolling_out"


@pytest.mark.parametrize(
    ("state", "reason"),
    [("ready", LISTED), ("conflict", "A file of yours is there.")],
    ids=["not listed by ComfyUI", "conflict"],
)
def test_failed_canary_stops_the_rollout_and_roll_back_restores(studio: Studio, state: str, reason: str) -> None:
    rollout = studio.start(is_automatic=True)
    studio.canary.begin(build_states(studio.kaori, state=state, reason=reason), "two")
    shown = studio.read(rollout)
    assert (shown["state"], shown["reason"]) == ("failed", f"'canary-1': {KAORI}: {reason}")
    [machine] = shown["progress"]["machine_list"]
    assert (machine["state"], machine["model_path"], machine["reason"]) == ("failed", KAORI, reason)
    assert studio.list_desired() == ([KAORI], [INK])

    studio.act(rollout, "roll-back")
    studio.act(rollout, "roll-back")
    assert studio.list_desired() == ([INK], [INK])
    shown = studio.team.get(rollout).json()
    assert (shown["state"], shown["reason"]) == ("rolled_back", f"'canary-1': {KAORI}: {reason}")
    assert studio.list_events() == ["started", "failed", "rolled_back"]


def test_attempt_that_the_machine_repeats_does_not_stop_the_rollout(studio: Studio) -> None:
    rollout = studio.start()
    studio.canary.begin(build_states(studio.kaori, state="failed", reason="The connection was lost."), "two")
    shown = studio.read(rollout)
    [machine] = shown["progress"]["machine_list"]
    assert (shown["state"], machine["state"]) == ("canary", "waiting")
    assert machine["reason"] == "The connection was lost."


def test_canary_that_changes_files_is_not_ready(studio: Studio) -> None:
    rollout = studio.start(is_automatic=True)
    studio.canary.series, studio.canary.number = "two", 1
    whole = {"model_list": build_states(studio.kaori), "is_whole": True, "is_last": True}
    studio.canary.beat(agent_status="syncing", **whole)
    assert studio.read(rollout)["state"] == "canary"
    studio.canary.beat()
    assert studio.read(rollout)["state"] == "rolling_out"


def test_offline_canary_is_neither_ready_nor_failed(studio: Studio) -> None:
    second = Machine(studio.canary.key, "canary-2", ("gpu24", "canary"))
    second.beat()
    rollout = studio.start(is_automatic=True)
    set_last_heartbeat_ago(studio.registry, studio.team, 100)
    studio.canary.begin(build_states(studio.kaori), "two")
    shown = studio.read(rollout)
    assert shown["state"] == "waiting_for_approval"
    assert [machine["state"] for machine in shown["progress"]["machine_list"]] == ["ready", "offline"]
    second.begin(build_states(studio.kaori))
    assert studio.read(rollout)["state"] == "rolling_out"


def test_rollout_with_offline_canaries_goes_on_without_them_if_asked(studio: Studio) -> None:
    rollout = studio.start()
    assert studio.act(rollout, "approve", 409, without_canaries=True)["state"] == "canary"
    set_last_heartbeat_ago(studio.registry, studio.team, 100)
    assert studio.act(rollout, "approve", 409)["error_code"] == "rollout_conflict"
    assert studio.act(rollout, "approve", 409, without_canaries=False)["error_code"] == "rollout_conflict"
    assert studio.list_desired() == ([KAORI], [INK])

    studio.act(rollout, "approve", without_canaries=True)
    studio.act(rollout, "approve", without_canaries=True)
    assert studio.list_desired() == ([KAORI], [KAORI])
    shown = studio.read(rollout)
    assert (shown["state"], shown["reason"], shown["obstacle"]) == ("rolling_out", None, None)
    [event] = studio.team.get("/audit-events", action="collection.rollout_approved").json()["audit_event_list"]
    assert event["facts"]["without_canaries"] is True
    assert event["facts"]["obstacle"] == "canaries_offline"
    assert "reason" not in event["facts"]


def test_approval_without_canaries_does_not_skip_one_that_failed(studio: Studio) -> None:
    rollout = studio.start()
    studio.canary.begin(build_states(studio.kaori, reason=LISTED), "two")
    assert studio.act(rollout, "approve", 409, without_canaries=True)["state"] == "failed"
    assert studio.list_desired() == ([KAORI], [INK])


def test_stopped_rollout_stays_as_it_is_until_a_new_one(studio: Studio) -> None:
    rollout = studio.start()
    studio.act(rollout, "stop")
    studio.act(rollout, "stop")
    assert studio.list_desired() == ([KAORI], [INK])
    studio.canary.begin(build_states(studio.kaori), "two")
    assert studio.read(rollout)["state"] == "stopped"
    again = studio.start()
    assert studio.team.get(rollout).json()["state"] == "replaced"
    assert studio.act(rollout, "roll-back", 409)["rollout_id"] == again[-36:]
    assert studio.read(again)["previous_version"] == 1
    listed = studio.team.get(f"{studio.path}/rollouts").json()["rollout_list"]
    assert [each["state"] for each in listed] == ["waiting_for_approval", "replaced"]


def test_finished_rollout_can_be_rolled_back_until_machines_get_another_version(studio: Studio) -> None:
    rollout = studio.start(canary_label=None)
    for machine in (studio.canary, studio.other):
        machine.begin(build_states(studio.kaori), "two")
    assert studio.read(rollout)["state"] == "finished"
    studio.act(rollout, "stop", 409)
    studio.act(rollout, "roll-back")
    assert studio.list_desired() == ([INK], [INK])

    other = studio.start(canary_label=None)
    for machine in (studio.canary, studio.other):
        machine.begin(build_states(studio.kaori), "three")
    assert studio.read(other)["state"] == "finished"
    studio.hold(is_held=False)
    studio.add_version(studio.ink, studio.kaori)
    studio.act(other, "roll-back", 409)


def test_same_request_while_it_runs_returns_the_same_rollout(studio: Studio) -> None:
    rollout = studio.start()
    assert studio.start(status=200) == rollout
    studio.start(status=409, is_automatic=True)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"version": 9}, "version"),
        ({"version": 1}, "version"),
        ({"version": 0}, "version"),
        ({"canary_label": "none"}, "canary_label"),
        ({"canary_label": "two words"}, "canary_label"),
        ({"min_ready_seconds": -1}, "min_ready_seconds"),
        ({"is_automatic": "yes"}, "is_automatic"),
    ],
    ids=["unknown version", "version of all", "no version", "no machine", "no label", "time", "flag"],
)
def test_start_with_invalid_field_names_it(studio: Studio, changed: dict[str, Any], field: str) -> None:
    answer = studio.team.post(f"{studio.path}/rollouts", **{"version": 2, "canary_label": "canary"} | changed)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_unknown_rollout_returns_404(studio: Studio) -> None:
    other = studio.team.post("/collections", name="Summer", model_list=[]).json()["id"]
    rollout_id = studio.start()[-36:]
    for missing in ("none", str(uuid4())):
        assert studio.team.get(f"{studio.path}/rollouts/{missing}").json()["error_code"] == "rollout_not_found"
    for action in ("approve", "stop", "roll-back"):
        answer = studio.team.post(f"/collections/{other}/rollouts/{rollout_id}/{action}")
        assert (answer.status_code, answer.json()["error_code"]) == (404, "rollout_not_found")


def test_machine_that_gets_the_canary_label_gets_the_version(studio: Studio) -> None:
    studio.start()
    assert studio.team.put("/agents/render-07", agent_labels=["canary"]).status_code == 200
    assert studio.list_desired() == ([KAORI], [KAORI])
    assert studio.team.put("/agents/render-07", agent_labels=[]).status_code == 200
    assert studio.list_desired() == ([KAORI], [INK])


def test_pinned_versions_of_both_steps_are_held_and_kept(studio: Studio) -> None:
    """A model moves on; the canary holds the version of the roll-out, the other machine the one before."""
    first = studio.team.register(make_model_file("oil"), "loras/oil.safetensors", required_labels=["none"])
    versions = [studio.add_version(first, studio.ink)]
    studio.team.register(make_model_file("oil", 99), "loras/oil.safetensors", replaces=first)
    versions.append(studio.add_version(first, studio.ink, studio.kaori))
    assert studio.team.put(studio.path, is_pinned=True).status_code == 200
    rollout = studio.start(versions[0], canary_label=None)
    for machine in (studio.canary, studio.other):
        machine.begin([state | {"version": 1} for state in build_states(first, studio.ink)], "pins")
    assert studio.read(rollout)["state"] == "finished"
    studio.start(versions[1])
    sizes = [
        next(each["file_size"] for each in machine.manifest().json()["model_list"] if each["id"] == first)
        for machine in (studio.canary, studio.other)
    ]
    assert sizes == [len(make_model_file("oil", 99)), len(make_model_file("oil"))]


def test_delete_collection_ends_its_rollout(studio: Studio) -> None:
    rollout = studio.start()
    assert studio.team.delete(studio.path).status_code == 204
    assert studio.list_desired() == ([], [])
    assert studio.team.get(rollout).status_code == 404
