"""Why a model is not on a machine yet: what the machine says, or why the machine does not go on."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from modelyard.server.agents.machine_states import explain_replica, find_absence
from modelyard.server.database.base import now
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.wire.agents.values import DAMAGED_REASON
from tests.server.agents.machine import (
    Machine,
    build_states,
    change_last_key,
    list_agents,
    register_model,
    set_last_heartbeat_ago,
)
from tests.server.agents.test_machine_states import MOMENT, SILENT_SINCE, build_agent
from tests.server.harness import ApiCaller, Harness, make_model_file

pytestmark = pytest.mark.slow

SILENT, STOPPED = {"last_heartbeat": SILENT_SINCE}, {"stopped_at": MOMENT}
NIGHT = {"waiting_for": "Downloads start at 22:00."}
BEGINS = "Starts within about a minute."
NO_HEARTBEATS = (
    "The machine is offline. No heartbeats arrive: the machine is off, has no network, or its agent crashed."
    " Check that, on the machine: modelyard agent status"
)
STORE = "The store does not answer."
UNFINISHED: dict[str, tuple[dict[str, Any], tuple[str, str | None] | None, str | None]] = {
    "ready": ({}, ("ready", None), None),
    "ready on a silent machine": (SILENT, ("ready", None), None),
    "conflict on a silent machine": (SILENT, ("conflict", "It is yours."), "It is yours."),
    "downloading": (NIGHT, ("downloading", None), None),
    "downloading with a reason": ({}, ("downloading", STORE), STORE),
    "downloading on a silent machine": (SILENT, ("downloading", None), NO_HEARTBEATS),
    "downloading with a reason on a silent machine": (SILENT, ("downloading", STORE), NO_HEARTBEATS),
    "queued on a stopped machine": (
        STOPPED,
        ("queued", None),
        "The machine is offline. The agent was stopped. Start its service on the machine, or modelyard agent run",
    ),
    "queued on a paused machine": ({"paused": True}, ("queued", None), "The machine is paused."),
    "queued with a reason on a paused machine": ({"paused": True}, ("queued", STORE), "The machine is paused."),
    "queued, while another model waits": (NIGHT, ("queued", None), None),
    "not reported": ({}, None, BEGINS),
    "not reported until night": (NIGHT, None, "The machine waits: Downloads start at 22:00."),
    "failed": ({}, ("failed", STORE), STORE),
    "failed on a silent machine": (SILENT, ("failed", STORE), NO_HEARTBEATS),
    "failed on a paused machine": ({"paused": True}, ("failed", STORE), "The machine is paused."),
    "not reported by a machine that scans": (
        {"sync_phase": "scanning", "sync_detail": "ink.gguf: 2 GB of 6 GB read"},
        None,
        "The machine is busy: Scanning ink.gguf: 2 GB of 6 GB read",
    ),
    "not reported by a machine with a problem": (
        {"problem": "No folder of ComfyUI is known.", **NIGHT},
        None,
        "The machine has a problem: No folder of ComfyUI is known.",
    ),
    "not reported by a silent machine": (SILENT, None, NO_HEARTBEATS),
}


@pytest.mark.parametrize("case", UNFINISHED.values(), ids=UNFINISHED)
def test_explain_replica(case: tuple[dict[str, Any], tuple[str, str | None] | None, str | None]) -> None:
    changed, reported, reason = case
    agent = build_agent(**changed)
    assert explain_replica(agent, find_absence(agent, MOMENT, None), reported, is_damaged=False) == reason


@pytest.mark.parametrize(
    ("reported", "reason"),
    [
        (None, DAMAGED_REASON),
        (("queued", None), DAMAGED_REASON),
        (("queued", STORE), STORE),
        (("downloading", None), None),
        (("verifying", None), None),
        (("ready", None), None),
    ],
    ids=str,
)
def test_explain_replica_of_damaged_content(reported: tuple[str, str | None] | None, reason: str | None) -> None:
    assert explain_replica(build_agent(), None, reported, is_damaged=True) == reason


def test_find_absence_of_a_refused_machine_says_why_its_key_is_refused() -> None:
    absence = find_absence(build_agent(paused=True), MOMENT, "Its key was revoked.")
    assert absence == "The machine is offline. Its key was revoked."


def list_reasons(team: ApiCaller, model_id: str) -> list[tuple[str, str | None]]:
    """Return what each of the three lists says of a model on ``render-07``: the state, and the reason for it."""
    [of_model] = team.get("/agent-states", model_id=model_id).json()["model_list"]
    [of_matrix] = of_model["state_list"]
    [of_machine] = [
        each for each in team.get("/agents/render-07/models").json()["agent_model_list"] if each["model_id"] == model_id
    ]
    [on_machine] = team.get(f"/models/{model_id}/agents").json()["agent_model_list"]
    return [(each["state"], each["reason"]) for each in (of_machine, on_machine, of_matrix)]


def test_all_lists_give_the_same_reason_of_a_replica(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    model_id, other = register_model(team, "one"), register_model(team, "other")
    assert list_reasons(team, model_id) == [("queued", BEGINS)] * 3
    machine.begin(build_states(model_id, state="queued") + build_states(other, state="downloading", reason=STORE))
    machine.beat(waiting_for="Downloads start at 22:00.")
    assert list_reasons(team, model_id) == [("queued", None)] * 3
    assert list_reasons(team, other) == [("downloading", STORE)] * 3
    set_last_heartbeat_ago(shared_registry, team, 3600)
    for each, state in ((model_id, "queued"), (other, "downloading")):
        assert list_reasons(team, each) == [(state, NO_HEARTBEATS)] * 3
    machine.beat()
    change_last_key(shared_registry, team, revoked_at=now(), expires_at=now() + timedelta(days=1))
    refusal = list_agents(team)["render-07"]["state_reason"]
    assert list_reasons(team, model_id) == [("queued", f"The machine is offline. {refusal}")] * 3


def damage_version(registry: Harness, team: ApiCaller, model_id: str, number: int) -> None:
    """Record that the registry's copy of a version is damaged, as the scrubber does; of the model too if current."""
    assert team.team_id is not None
    with registry.resources.database.writing(UUID(team.team_id)) as session:
        is_version = ModelVersionRow.model_id == UUID(model_id), ModelVersionRow.number == number
        is_current = ModelRow.id == UUID(model_id), ModelRow.current_version == number
        session.execute(update(ModelVersionRow).where(*is_version).values(verification="failed"))
        session.execute(update(ModelRow).where(*is_current).values(verification="failed"))


def test_all_lists_say_that_a_replica_waits_for_damaged_content(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    model_id = register_model(team, "one")
    damage_version(shared_registry, team, model_id, 1)
    assert list_reasons(team, model_id) == [("queued", DAMAGED_REASON)] * 3
    machine.begin(build_states(model_id, state="downloading"))
    assert list_reasons(team, model_id) == [("downloading", None)] * 3


def test_a_pinned_version_decides_whether_the_content_is_damaged(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    model_id = register_model(team, "ink")
    entries = [{"model_id": model_id, "version": 1}]
    collection = team.post("/collections", name="Winter", model_list=entries).json()["id"]
    team.put(f"/collections/{collection}", is_pinned=True)
    assert team.post(f"/collections/{collection}/subscriptions", agent_id="render-07").status_code == 201
    team.register(make_model_file("second"), "loras/ink.safetensors", replaces=model_id)
    damage_version(shared_registry, team, model_id, 2)
    assert list_reasons(team, model_id) == [("queued", BEGINS)] * 3
    damage_version(shared_registry, team, model_id, 1)
    assert list_reasons(team, model_id) == [("queued", DAMAGED_REASON)] * 3
