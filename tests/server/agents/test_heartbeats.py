"""What a machine says: who may say it, what becomes of it, and how both sides know that they agree."""

from datetime import timedelta
from typing import Any

import pytest

from modelyard.server.agents import heartbeats
from modelyard.server.database.clock import database_now
from modelyard.server.models.holders import absence
from modelyard.server.models.holders.absence import note_absences
from tests.server.agents.machine import Machine, agents, events, machine_of, ready, silence, states_on
from tests.server.world import Someone, World, a_model_file


@pytest.fixture
def machine(shared_world: World, team: Someone) -> Machine:
    return machine_of(shared_world, team)


def model(team: Someone, word: str, **changed: Any) -> str:
    return team.register(a_model_file(word), f"loras/{word}.safetensors", **changed)


def test_a_machine_is_listed_with_what_it_says(team: Someone, machine: Machine) -> None:
    said = {
        "agent_status": "syncing",
        "agent_version": "0.2.0",
        "comfyui_version": "0.3.64",
        "platform_arch": "linux-x86_64",
        "sync_phase": "downloading",
        "sync_detail": "ink.safetensors",
        "sync_percent": 40,
        "disk_free": 10**13,
        "disk_budget": None,
        "bytes_held": 2**62,
        "waiting_for": "Downloads start at 22:00.",
        "removal_waiting": 0,
    }
    machine.beat(**said)
    [shown] = agents(team).values()
    assert {name: shown[name] for name in said} == said
    assert (shown["agent_id"], shown["tool"], shown["paused"]) == ("render-07", "comfyui", False)


def test_a_busy_machine_is_asked_to_come_back_sooner(machine: Machine) -> None:
    assert machine.beat(sync_phase="idle")["interval_seconds"] == 30
    assert machine.beat(sync_phase="downloading")["interval_seconds"] == 2


def test_a_whole_report_replaces_what_was_known(team: Someone, machine: Machine) -> None:
    one, two = model(team, "one"), model(team, "two")
    assert machine.begin(ready(one, two))["resend_all"] is False
    assert states_on(team) == {one: "ready", two: "ready"}
    machine.begin(ready(two, state="failed", reason="The disk is full."), series="two")
    assert states_on(team) == {one: "wanted", two: "failed"}


def test_a_whole_in_parts_replaces_each_stretch_of_ids_and_nothing_else(team: Someone, machine: Machine) -> None:
    one, two, three = sorted(model(team, word) for word in ("one", "two", "three"))
    machine.begin(ready(one, two, three))
    machine.series, machine.number = "two", 1
    machine.beat(model_list=ready(two), is_whole=True)
    assert states_on(team) == {one: "wanted", two: "ready", three: "ready"}
    machine.number = 2
    machine.beat(model_list=[], is_whole=True, whole_after=two, is_last=True)
    assert states_on(team) == {one: "wanted", two: "ready", three: "wanted"}
    assert agents(team)["render-07"]["models_ready"] == 1


def test_a_part_of_the_whole_that_names_what_an_earlier_part_told_is_refused(team: Someone, machine: Machine) -> None:
    one, two = sorted(model(team, word) for word in ("one", "two"))
    machine.begin(ready(one, two))
    part = {"is_whole": True, "is_last": True, "whole_after": two, "model_list": ready(one)}
    refused = machine.send(report_series="one", report_number=2, **part)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "invalid_request")
    assert [error["field"] for error in refused.json()["errors"]] == ["whole_after"]
    assert states_on(team) == {one: "ready", two: "ready"}


def test_a_report_whose_answer_was_lost_may_come_again(team: Someone, machine: Machine) -> None:
    one = model(team, "one")
    machine.begin()
    assert machine.report(ready(one))["resend_all"] is False
    assert machine.beat(model_list=ready(one))["resend_all"] is False
    assert agents(team)["render-07"]["models_ready"] == 1


@pytest.mark.parametrize(("series", "number"), [("one", 3), ("one", 0), ("other", 1), ("", 0)])
def test_a_report_that_does_not_follow_is_not_believed(
    team: Someone, machine: Machine, series: str, number: int
) -> None:
    one = model(team, "one")
    machine.begin()
    machine.series, machine.number = series, number
    assert machine.beat(model_list=ready(one))["resend_all"] is True
    assert states_on(team) == {one: "wanted"}


def test_a_registry_that_has_forgotten_the_machine_asks_for_everything(team: Someone, machine: Machine) -> None:
    one = model(team, "one")
    machine.begin(ready(one))
    team.delete("/agents/render-07")
    assert machine.beat()["resend_all"] is True
    assert machine.begin(ready(one), series="two")["resend_all"] is False
    assert states_on(team) == {one: "ready"}


def test_what_the_machine_should_not_have_is_passed_over(shared_world: World, team: Someone, machine: Machine) -> None:
    one, disabled = model(team, "one"), model(team, "disabled")
    labelled = model(team, "labelled", required_labels=["gpu24"])
    team.put(f"/models/{disabled}", model_status="disabled")
    foreign = model(shared_world.new_team(), "foreign")
    unknown = "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"
    machine.begin(ready(one, disabled, labelled, foreign, unknown))
    assert states_on(team) == {one: "ready"}
    assert agents(team)["render-07"]["models_ready"] == 1


def test_states_and_texts_beyond_their_bounds_are_refused(machine: Machine) -> None:
    unknown = "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"
    for said in (
        {"model_list": ready(*[unknown] * 1001)},
        {"model_list": ready(unknown, state="perhaps")},
        {"sync_percent": 101},
        {"disk_free": -1},
        {"sync_detail": "a\x00b"},
        {"agent_labels": ["two words"]},
        {"agent_id": "no such/name"},
        {"agent_status": "unhealthy"},
    ):
        refused = machine.send(**said)
        assert (refused.status_code, refused.json()["error_code"]) == (422, "invalid_request"), said


def test_a_heartbeat_raises_no_revision_and_leaves_no_event(team: Someone, machine: Machine) -> None:
    one = model(team, "one")
    machine.begin()
    before = machine.manifest().json()["revision"], team.get("/audit-events", per_page=100).json()
    machine.report(ready(one))
    machine.beat(sync_phase="downloading")
    assert (machine.manifest().json()["revision"], team.get("/audit-events", per_page=100).json()) == before


def test_a_machine_that_was_silent_for_90_seconds_is_unhealthy_until_it_is_heard(
    shared_world: World, team: Someone, machine: Machine
) -> None:
    silence(shared_world, team, 89)
    assert agents(team)["render-07"]["agent_status"] == "idle"
    silence(shared_world, team, 91)
    assert agents(team)["render-07"]["agent_status"] == "unhealthy"
    assert list(agents(team, agent_status="unhealthy")) == ["render-07"]
    assert agents(team, agent_status="idle") == {}
    machine.beat()
    assert agents(team)["render-07"]["agent_status"] == "idle"
    assert events(team) == ["agent.first_seen", "agent.unhealthy", "agent.recovered"]


def test_the_silence_of_a_machine_is_written_down_once_while_it_lasts(
    shared_world: World, team: Someone, machine: Machine
) -> None:
    for _ in range(2):
        silence(shared_world, team, 89)
        note_absences(shared_world.parts.database)
        assert events(team) == ["agent.first_seen"]
    for _ in range(2):
        silence(shared_world, team, 91)
        note_absences(shared_world.parts.database)
        assert events(team) == ["agent.first_seen", "agent.unhealthy"]
    machine.beat()
    assert events(team) == ["agent.first_seen", "agent.unhealthy", "agent.recovered"]
    note_absences(shared_world.parts.database)
    assert len(events(team)) == 3


@pytest.mark.parametrize("hours", [1, -1])
def test_a_server_whose_clock_is_wrong_writes_each_silence_down_once(
    shared_world: World, team: Someone, machine: Machine, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    ahead = timedelta(hours=hours)
    for module in (absence, heartbeats):
        monkeypatch.setattr(module, "database_now", lambda session: database_now(session) + ahead)
    machine.beat()
    before = len(events(team))
    for _ in range(2):
        ahead += timedelta(minutes=10)
        silence(shared_world, team, 91 - ahead.total_seconds())
        for _ in range(2):
            note_absences(shared_world.parts.database)
        machine.beat()
    assert events(team)[before:] == 2 * ["agent.unhealthy", "agent.recovered"]


def test_a_key_from_pairing_speaks_for_the_machine_that_used_it_first(shared_world: World, team: Someone) -> None:
    started = shared_world.nobody.post("/desktop/pair/start").json()
    team.post("/desktop/pair/confirm", user_code=started["user_code"])
    keys = shared_world.nobody.post("/desktop/pair/poll", device_code=started["device_code"]).json()
    first = Machine(Someone(team.client, keys["agent_key"]))
    first.beat()
    second = Machine(first.key, "render-08")
    for refused in (second.send(), second.manifest()):
        assert (refused.status_code, refused.json()["error_code"]) == (403, "key_not_allowed")
    assert list(agents(team)) == ["render-07"]
    assert first.manifest().status_code == 200


def test_a_key_from_the_list_of_keys_serves_many_machines(team: Someone, machine: Machine) -> None:
    Machine(machine.key, "render-08").beat()
    assert list(agents(team)) == ["render-07", "render-08"]


def test_two_machines_with_one_name_and_two_keys_do_not_write_over_each_other(
    shared_world: World, team: Someone, machine: Machine
) -> None:
    other = Machine(shared_world.key("agent", team))
    refused = other.send()
    assert (refused.status_code, refused.json()["error_code"]) == (409, "agent_taken")
    assert machine.beat()["paused"] is False


@pytest.mark.parametrize("how", ["silent", "revoked"])
def test_a_machine_that_comes_with_a_new_key_keeps_its_place(
    shared_world: World, team: Someone, machine: Machine, how: str
) -> None:
    if how == "silent":
        silence(shared_world, team, 91)
    else:
        [key] = team.get("/credentials", kind="agent").json()["credentials"]
        team.delete(f"/credentials/{key['id']}")
    again = Machine(shared_world.key("agent", team))
    assert again.manifest().json()["error_code"] == "agent_unknown"
    again.beat()
    assert again.manifest().status_code == 200
    assert list(agents(team)) == ["render-07"]
