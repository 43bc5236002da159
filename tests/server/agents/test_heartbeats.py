"""Heartbeats and reports: validation, sequence of reports, unhealthy machines, keys, and the machine limit."""

from datetime import timedelta

import pytest

from modelyard.server.agents.heartbeats import recording, reported_states
from modelyard.server.database import job_run
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.job_run import JobRun
from modelyard.server.models.replicas import unhealthy
from modelyard.server.models.replicas.unhealthy import record_unhealthy_agents
from modelyard.server.settings import Settings
from modelyard.wire.agents.values import MAX_REASON_LENGTH
from tests.server.agents.machine import (
    Machine,
    add_machine,
    build_states,
    list_agent_events,
    list_agents,
    list_states_on,
    register_model,
    set_last_heartbeat_ago,
)
from tests.server.harness import ApiCaller, Harness

# Not yet unhealthy, also if the next step of the test comes late; test_machine_states.py has the limit itself.
SILENT_SECONDS = 60


def test_heartbeat_fields_are_listed(team: ApiCaller, machine: Machine) -> None:
    said = {
        "agent_status": "syncing",
        "agent_version": "0.2.0",
        "agent_build": "1f2e3d4c5b6a",
        "comfyui_version": "0.3.64",
        "platform_arch": "linux-x86_64",
        "sync_phase": "downloading",
        "sync_detail": "ink.safetensors",
        "sync_percent": 40,
        "disk_free": 10**13,
        "disk_budget": None,
        "bytes_held": 2**62,
        "models_unloaded": 3,
        "waiting_for": "Downloads start at 22:00.",
        "removal_waiting": 0,
    }
    machine.beat(**said)
    [shown] = list_agents(team).values()
    assert {name: shown[name] for name in said} == said
    assert (shown["agent_id"], shown["tool"], shown["paused"]) == ("render-07", "comfyui", False)


def test_heartbeat_of_an_agent_without_build_is_listed_without_one(team: ApiCaller, machine: Machine) -> None:
    machine.beat(agent_version="0.3.0", agent_build="1f2e3d4c5b6a")
    machine.beat(agent_version="0.3.0")
    assert list_agents(team)["render-07"]["agent_build"] is None


def test_heartbeat_interval_is_2_seconds_while_downloading_and_30_when_idle(machine: Machine) -> None:
    assert machine.beat(sync_phase="idle")["interval_seconds"] == 30
    assert machine.beat(sync_phase="downloading")["interval_seconds"] == 2


def test_complete_report_replaces_all_states(team: ApiCaller, machine: Machine) -> None:
    model_id, two = register_model(team, "one"), register_model(team, "two")
    assert machine.begin(build_states(model_id, two))["resend_all"] is False
    assert list_states_on(team) == {model_id: "ready", two: "ready"}
    machine.begin(build_states(two, state="failed", reason="The disk is full."), series="two")
    assert list_states_on(team) == {model_id: "queued", two: "failed"}


def test_complete_report_in_parts_replaces_the_states_of_each_part_id_range_only(
    team: ApiCaller, machine: Machine
) -> None:
    model_id, two, three = sorted(register_model(team, word) for word in ("one", "two", "three"))
    machine.begin(build_states(model_id, two, three))
    machine.series, machine.number = "two", 1
    machine.beat(model_list=build_states(two), is_whole=True)
    assert list_states_on(team) == {model_id: "queued", two: "ready", three: "ready"}
    machine.number = 2
    machine.beat(model_list=[], is_whole=True, whole_after=two, is_last=True)
    assert list_states_on(team) == {model_id: "queued", two: "ready", three: "queued"}
    assert list_agents(team)["render-07"]["models_ready"] == 1


def test_report_part_with_model_id_not_after_whole_after_returns_422(team: ApiCaller, machine: Machine) -> None:
    model_id, two = sorted(register_model(team, word) for word in ("one", "two"))
    machine.begin(build_states(model_id, two))
    part = {"is_whole": True, "is_last": True, "whole_after": two, "model_list": build_states(model_id)}
    refused = machine.send(report_series="one", report_number=2, **part)
    assert (refused.status_code, refused.json()["error_code"]) == (422, "invalid_request")
    assert [error["field"] for error in refused.json()["errors"]] == ["whole_after"]
    assert list_states_on(team) == {model_id: "ready", two: "ready"}


def test_report_sent_twice_with_the_same_number_is_accepted(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, "one")
    machine.begin()
    assert machine.report(build_states(model_id))["resend_all"] is False
    assert machine.beat(model_list=build_states(model_id))["resend_all"] is False
    assert list_agents(team)["render-07"]["models_ready"] == 1


@pytest.mark.parametrize(("series", "number"), [("one", 3), ("one", 0), ("other", 1), ("", 0)])
def test_report_out_of_sequence_is_ignored_and_asks_for_a_complete_one(
    team: ApiCaller, machine: Machine, series: str, number: int
) -> None:
    model_id = register_model(team, "one")
    machine.begin()
    machine.series, machine.number = series, number
    assert machine.beat(model_list=build_states(model_id))["resend_all"] is True
    assert list_states_on(team) == {model_id: "queued"}


def test_heartbeat_of_removed_machine_asks_for_a_complete_report(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, "one")
    machine.begin(build_states(model_id))
    team.delete("/agents/render-07")
    assert machine.beat()["resend_all"] is True
    assert machine.begin(build_states(model_id), series="two")["resend_all"] is False
    assert list_states_on(team) == {model_id: "ready"}


def test_report_of_undesired_models_is_ignored(shared_registry: Harness, team: ApiCaller, machine: Machine) -> None:
    model_id, disabled = register_model(team, "one"), register_model(team, "disabled")
    labelled = register_model(team, "labelled", required_labels=["gpu24"])
    team.put(f"/models/{disabled}", model_status="disabled")
    foreign = register_model(shared_registry.create_team(), "foreign")
    unknown = "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"
    machine.begin(build_states(model_id, disabled, labelled, foreign, unknown))
    assert list_states_on(team) == {model_id: "ready"}
    assert list_agents(team)["render-07"]["models_ready"] == 1


def test_heartbeat_whose_name_labels_or_order_is_invalid_returns_422(machine: Machine) -> None:
    unknown = "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"
    for said in (
        {"model_list": build_states(*[unknown] * 1001)},
        {"model_list": "all"},
        {"agent_labels": ["two words"]},
        {"agent_id": "no such/name"},
        {"removal_token": "all"},
        {"report_number": -1},
        {"sync_phase": "resting", "is_whole": "yes"},
        {"model_list": build_states("ink"), "is_whole": True, "report_series": "one", "report_number": 1},
        {"agent_id": "."},
        {"agent_id": ".."},
    ):
        refused = machine.send(**said)
        assert (refused.status_code, refused.json()["error_code"]) == (422, "invalid_request"), said


def test_heartbeat_changes_neither_revision_nor_audit_trail(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, "one")
    machine.begin()
    before = machine.manifest().json()["revision"], team.get("/audit-events", per_page=100).json()
    machine.report(build_states(model_id))
    machine.beat(sync_phase="downloading")
    assert (machine.manifest().json()["revision"], team.get("/audit-events", per_page=100).json()) == before


def test_machine_without_heartbeat_for_90_seconds_is_unhealthy_until_the_next_one(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    set_last_heartbeat_ago(shared_registry, team, SILENT_SECONDS)
    assert list_agents(team)["render-07"]["agent_status"] == "idle"
    set_last_heartbeat_ago(shared_registry, team, 91)
    assert list_agents(team)["render-07"]["agent_status"] == "unhealthy"
    assert list(list_agents(team, agent_status="unhealthy")) == ["render-07"]
    assert list_agents(team, agent_status="idle") == {}
    machine.beat()
    assert list_agents(team)["render-07"]["agent_status"] == "idle"
    assert list_agent_events(team) == ["agent.first_seen", "agent.unhealthy", "agent.recovered"]


def test_unhealthy_machine_is_recorded_once_per_outage(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    for _ in range(2):
        set_last_heartbeat_ago(shared_registry, team, SILENT_SECONDS)
        record_unhealthy_agents(JobRun(shared_registry.resources.database, "offline machines"))
        assert list_agent_events(team) == ["agent.first_seen"]
    for _ in range(2):
        set_last_heartbeat_ago(shared_registry, team, 91)
        record_unhealthy_agents(JobRun(shared_registry.resources.database, "offline machines"))
        assert list_agent_events(team) == ["agent.first_seen", "agent.unhealthy"]
    machine.beat()
    assert list_agent_events(team) == ["agent.first_seen", "agent.unhealthy", "agent.recovered"]
    record_unhealthy_agents(JobRun(shared_registry.resources.database, "offline machines"))
    assert len(list_agent_events(team)) == 3


@pytest.mark.parametrize("hours", [1, -1])
def test_unhealthy_machine_is_recorded_once_per_outage_with_wrong_clock(
    shared_registry: Harness, team: ApiCaller, machine: Machine, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    clock_offset = timedelta(hours=hours)
    for module in (job_run, unhealthy, recording, reported_states):
        monkeypatch.setattr(module, "get_database_time", lambda session: get_database_time(session) + clock_offset)
    machine.beat()
    before = len(list_agent_events(team))
    for _ in range(2):
        clock_offset += timedelta(minutes=10)
        set_last_heartbeat_ago(shared_registry, team, 91 - clock_offset.total_seconds())
        for _ in range(2):
            record_unhealthy_agents(JobRun(shared_registry.resources.database, "offline machines"))
        machine.beat()
    assert list_agent_events(team)[before:] == 2 * ["agent.unhealthy", "agent.recovered"]


def test_paired_key_is_bound_to_the_first_machine_that_uses_it(shared_registry: Harness, team: ApiCaller) -> None:
    started = shared_registry.anonymous.post("/desktop/pair/start").json()
    team.post("/desktop/pair/confirm", user_code=started["user_code"])
    keys = shared_registry.anonymous.post("/desktop/pair/poll", device_code=started["device_code"]).json()
    first = Machine(ApiCaller(team.client, keys["agent_key"]))
    first.beat()
    second = Machine(first.key, "render-08")
    for refused in (second.send(), second.manifest()):
        assert (refused.status_code, refused.json()["error_code"]) == (403, "key_not_allowed")
    assert list(list_agents(team)) == ["render-07"]
    assert first.manifest().status_code == 200


def test_created_agent_key_may_be_used_by_many_machines(team: ApiCaller, machine: Machine) -> None:
    Machine(machine.key, "render-08").beat()
    assert list(list_agents(team)) == ["render-07", "render-08"]


def test_heartbeat_with_other_key_for_a_healthy_machine_returns_409(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    other = Machine(shared_registry.create_key("agent", team))
    refused = other.send()
    assert (refused.status_code, refused.json()["error_code"]) == (409, "agent_taken")
    assert machine.beat()["paused"] is False


@pytest.mark.parametrize("reason", ["silent", "revoked"])
def test_heartbeat_with_new_key_takes_over_an_unhealthy_or_revoked_machine(
    shared_registry: Harness, team: ApiCaller, machine: Machine, reason: str
) -> None:
    if reason == "silent":
        set_last_heartbeat_ago(shared_registry, team, 91)
    else:
        [key] = team.get("/credentials", kind="agent").json()["credentials"]
        team.delete(f"/credentials/{key['id']}")
    replacement = Machine(shared_registry.create_key("agent", team))
    assert replacement.manifest().json()["error_code"] == "agent_unknown"
    replacement.beat()
    assert replacement.manifest().status_code == 200
    assert list(list_agents(team)) == ["render-07"]


def test_report_long_reason_is_truncated_and_unchanged_when_repeated(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, "one")
    states = build_states(model_id, state="failed", reason="x" * 2000)
    machine.begin(states)
    [shown] = team.get("/agents/render-07/models").json()["agent_model_list"]
    assert shown["reason"] == "x" * (MAX_REASON_LENGTH - 1) + "…"
    machine.report(states)
    assert team.get("/agents/render-07/models").json()["agent_model_list"] == [shown]


class TestTeamOfTwoMachines:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"max_machines": 2})

    def test_heartbeat_of_third_machine_returns_403_until_one_is_removed(self, registry: Harness) -> None:
        first = add_machine(registry, registry.owner, "one")
        add_machine(registry, registry.owner, "two")
        third = Machine(registry.create_key("agent"), "three")
        refused = third.send()
        assert (refused.status_code, refused.json()["error_code"]) == (403, "too_many_machines")
        assert (refused.json()["machines"], refused.json()["max_machines"]) == (2, 2)
        assert "modelyard machine rm" in refused.json()["detail"]
        first.beat()
        assert registry.owner.delete("/agents/two").status_code == 204
        third.beat()
        assert list(list_agents(registry.owner)) == ["one", "three"]
