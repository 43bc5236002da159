"""Heartbeats of which the registry knows only a part: the rest counts, and the response names what does not."""

from typing import Any
from uuid import UUID

import pytest

from modelyard.wire.agents.partial_reading import UNREADABLE_PROBLEM, UNREADABLE_REASON
from modelyard.wire.agents.values import MAX_REASON_LENGTH, MAX_UNREADABLE_FIELDS
from tests.server.agents.machine import Machine, build_states, list_agents, list_states_on, register_model
from tests.server.harness import ApiCaller


def read_state(team: ApiCaller, model_id: str) -> tuple[str, str | None, int]:
    """Return the state, its reason and the bytes of a model on the machine of the tests."""
    rows = team.get("/agents/render-07/models").json()["agent_model_list"]
    [found] = [row for row in rows if row["model_id"] == model_id]
    return found["state"], found["reason"], found["bytes_done"]


def list_unreadable(answer: dict[str, Any]) -> list[str]:
    """Return the names of the fields that the registry could not read."""
    return [each["field"] for each in answer["unreadable_list"]]


def test_wholly_known_heartbeat_has_nothing_unreadable(machine: Machine) -> None:
    answer = machine.begin()
    assert (answer["unreadable_list"], answer["unreadable_count"]) == ([], 0)


def test_unknown_state_counts_as_queued_and_the_other_models_of_the_report_count(
    team: ApiCaller, machine: Machine
) -> None:
    ink, oil = register_model(team, "ink"), register_model(team, "oil")
    # "wanted" is what agents of 0.3.0 call queued.
    answer = machine.begin([*build_states(ink, state="wanted"), *build_states(oil)])
    assert answer["resend_all"] is False
    assert list_states_on(team) == {ink: "queued", oil: "ready"}
    [unreadable] = answer["unreadable_list"]
    assert (unreadable["model_id"], unreadable["field"].endswith(".state"), answer["unreadable_count"]) == (
        ink,
        True,
        1,
    )


def test_unknown_state_keeps_the_machines_reason_or_has_one_of_the_registry(team: ApiCaller, machine: Machine) -> None:
    ink, oil = register_model(team, "ink"), register_model(team, "oil")
    states = [*build_states(ink, state="warming", reason="The card is cold."), *build_states(oil, state="warming")]
    machine.begin(states)
    assert read_state(team, ink) == ("queued", "The card is cold.", 0)
    assert read_state(team, oil) == ("queued", UNREADABLE_REASON, 0)


@pytest.mark.parametrize(
    ("reason", "stored"),
    [
        ("a\x00b\nc", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"),
        ("x" * 2001, "x" * (MAX_REASON_LENGTH - 1) + "…"),
        ({"code": 7}, UNREADABLE_REASON),
    ],
    ids=["control characters", "too long", "no text"],
)
@pytest.mark.parametrize("state", ["failed", "ready"])
def test_invalid_reason_leaves_the_state_and_a_reason(
    team: ApiCaller, machine: Machine, state: str, reason: object, stored: str
) -> None:
    ink = register_model(team, "ink")
    machine.begin()
    answer = machine.report([{"model_id": ink, "state": state, "reason": reason, "bytes_done": 5}])
    assert read_state(team, ink) == (state, stored, 5)
    assert list_unreadable(answer) == ["model_list.0.reason"]


def test_ready_at_an_unreadable_path_counts_as_queued(team: ApiCaller, machine: Machine) -> None:
    ink = register_model(team, "ink")
    answer = machine.begin([build_states(ink)[0] | {"model_path": 7}])
    assert read_state(team, ink) == ("queued", UNREADABLE_REASON, 0)
    assert list_unreadable(answer) == ["model_list.0.model_path"]


def test_invalid_bytes_count_as_0_and_leave_the_state(team: ApiCaller, machine: Machine) -> None:
    ink = register_model(team, "ink")
    machine.begin()
    answer = machine.report([{"model_id": ink, "state": "downloading", "bytes_done": -1}])
    assert read_state(team, ink) == ("downloading", None, 0)
    assert list_unreadable(answer) == ["model_list.0.bytes_done"]


def test_state_of_an_invalid_version_keeps_the_machines_reason(team: ApiCaller, machine: Machine) -> None:
    ink = register_model(team, "ink")
    machine.begin()
    machine.report([{"model_id": ink, "state": "blocked", "version": "three", "reason": "The disk is full."}])
    assert read_state(team, ink) == ("queued", "The disk is full.", 0)


@pytest.mark.parametrize("is_whole", [False, True], ids=["changes", "complete"])
def test_state_of_an_invalid_version_counts_as_queued_in_place_of_the_known_one(
    team: ApiCaller, machine: Machine, is_whole: bool
) -> None:
    ink = register_model(team, "ink")
    machine.begin(build_states(ink))
    states = [{"model_id": ink, "state": "ready", "version": "three"}]
    answer = machine.begin(states, series="two") if is_whole else machine.report(states)
    assert read_state(team, ink) == ("queued", UNREADABLE_REASON, 0)
    assert list_agents(team)["render-07"]["models_ready"] == 0
    assert list_unreadable(answer) == ["model_list.0.version"]


@pytest.mark.parametrize("entry", ["ink", None, {}, {"model_id": "ink", "state": "ready"}])
def test_entry_without_a_valid_id_is_named_and_the_others_count(
    team: ApiCaller, machine: Machine, entry: object
) -> None:
    ink = register_model(team, "ink")
    machine.begin()
    machine.number += 1
    answer = machine.beat(model_list=[entry, *build_states(ink)])
    assert list_states_on(team) == {ink: "ready"}
    assert answer["unreadable_list"] == [
        {
            "field": "model_list.0.model_id",
            "message": "The registry cannot read the model's id: the entry does not count.",
            "model_id": None,
        }
    ]


def test_part_of_a_complete_report_that_ends_without_a_valid_id_is_refused_and_changes_nothing(
    team: ApiCaller, machine: Machine
) -> None:
    ink, oil = sorted([register_model(team, "ink"), register_model(team, "oil")], key=UUID)
    machine.begin(build_states(ink, oil))
    part = {"report_series": "two", "report_number": 1, "is_whole": True}
    states = [*build_states(ink, state="failed"), {"model_id": "oil", "state": "ready"}]
    assert machine.send(**part, model_list=states).status_code == 422
    assert list_states_on(team) == {ink: "ready", oil: "ready"}
    assert machine.send(**part, is_last=True, model_list=states).status_code == 200
    assert list_states_on(team) == {ink: "failed", oil: "queued"}


def test_report_of_many_unknown_states_names_the_first_and_counts_all(team: ApiCaller, machine: Machine) -> None:
    ids = [register_model(team, f"ink-{number}") for number in range(MAX_UNREADABLE_FIELDS + 2)]
    answer = machine.begin(build_states(*ids, state="warming"))
    assert (len(answer["unreadable_list"]), answer["unreadable_count"]) == (MAX_UNREADABLE_FIELDS, len(ids))
    assert set(list_states_on(team).values()) == {"queued"}


def test_report_of_many_unknown_states_still_names_an_unreadable_description(team: ApiCaller, machine: Machine) -> None:
    ids = [register_model(team, f"ink-{number}") for number in range(MAX_UNREADABLE_FIELDS)]
    machine.series, machine.number = "one", 1
    states = build_states(*sorted(ids, key=UUID), state="warming")
    answer = machine.beat(model_list=states, is_whole=True, is_last=True, bytes_held="much")
    assert (list_unreadable(answer)[0], answer["unreadable_count"]) == ("bytes_held", len(ids) + 1)


def test_unknown_descriptions_have_neutral_values_and_the_report_counts(team: ApiCaller, machine: Machine) -> None:
    ink = register_model(team, "ink")
    machine.series, machine.number = "one", 1
    said = {
        "agent_status": "resting",
        "sync_phase": "thinking",
        "sync_detail": "a\x00b",
        "sync_percent": 101,
        "disk_free": "much",
        "agent_version": "9" * 101,
        "removal_waiting": -1,
        "use_counted_since": "x",
    }
    answer = machine.beat(model_list=build_states(ink), is_whole=True, is_last=True, **said)
    [shown] = list_agents(team).values()
    assert {name: shown[name] for name in said} == {
        "agent_status": "idle",
        "sync_phase": "idle",
        "sync_detail": "a\N{REPLACEMENT CHARACTER}b",
        "sync_percent": None,
        "disk_free": None,
        "agent_version": "9" * 100,
        "removal_waiting": 0,
        "use_counted_since": None,
    }
    assert set(list_unreadable(answer)) == set(said)
    assert list_states_on(team) == {ink: "ready"}


def test_unreadable_problem_is_still_a_problem(team: ApiCaller, machine: Machine) -> None:
    machine.beat(problem={"code": 7})
    [shown] = list_agents(team).values()
    assert (shown["machine_state"], shown["state_reason"]) == ("problem", UNREADABLE_PROBLEM)


@pytest.mark.parametrize(
    ("problem", "shown"), [(None, UNREADABLE_PROBLEM), ("The disk is full.", "The disk is full.")], ids=["none", "own"]
)
def test_unreadable_number_of_unloaded_models_is_a_problem(
    team: ApiCaller, machine: Machine, problem: str | None, shown: str
) -> None:
    machine.beat(models_unloaded="3", problem=problem)
    [found] = list_agents(team).values()
    assert (found["machine_state"], found["state_reason"]) == ("problem", shown)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agent_labels", "gpu"),
        ("places_folders", "yes"),
        ("is_stopping", "yes"),
        ("removal_token", "x"),
        ("report_number", "one"),
        ("is_whole", 1),
        ("is_last", 1),
    ],
)
def test_heartbeat_of_which_a_deciding_field_is_invalid_is_refused(machine: Machine, name: str, value: object) -> None:
    answer = machine.send(**{name: value})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, name)


def test_unknown_fields_are_ignored_and_not_named(team: ApiCaller, machine: Machine) -> None:
    ink = register_model(team, "ink")
    machine.begin()
    machine.number += 1
    state = {"model_id": ink, "state": "ready", "temperature": 40}
    answer = machine.beat(model_list=[state], gpu_list=[{"name": "A"}], unreadable_list="x", unreadable_count="x")
    assert (answer["unreadable_list"], answer["unreadable_count"]) == ([], 0)
    assert list_states_on(team) == {ink: "ready"}
