"""Why a model is not on a machine yet, where the machine has given no reason."""

from typing import Any

import pytest

from modelyard.server.agents.machine_states import explain_unfinished
from modelyard.server.models.replicas.tables import AgentModelRow
from tests.server.agents.machine import Machine, register_model, set_last_heartbeat_ago
from tests.server.agents.test_machine_states import MOMENT, SILENT_SINCE, build_agent
from tests.server.harness import ApiCaller, Harness

pytestmark = pytest.mark.slow

SILENT = {"last_heartbeat": SILENT_SINCE}
NIGHT = {"waiting_for": "Downloads start at 22:00."}
UNFINISHED = {
    "ready": ({}, "ready", None),
    "ready on a silent machine": (SILENT, "ready", None),
    "failed on a silent machine": (SILENT, "failed", None),
    "downloading": (NIGHT, "downloading", None),
    "downloading on a silent machine": (SILENT, "downloading", "The machine is offline: its last heartbeat was at "),
    "queued on a stopped machine": (
        {"stopped_at": MOMENT},
        "queued",
        "The machine is offline: its agent was stopped at ",
    ),
    "queued on a paused machine": ({"paused": True}, "queued", "The machine is paused."),
    "queued until night": (NIGHT, "queued", "Downloads start at 22:00."),
    "queued behind others": ({}, "queued", None),
    "not reported": ({}, None, "The agent begins once it has read its new list"),
    "not reported until night": (NIGHT, None, "Downloads start at 22:00."),
    "not reported by a silent machine": (SILENT, None, "The machine is offline: its last heartbeat was at "),
}


@pytest.mark.parametrize("case", UNFINISHED.values(), ids=UNFINISHED)
def test_explain_unfinished(case: tuple[dict[str, Any], str | None, str | None]) -> None:
    changed, state, begin = case
    reported = None if state is None else AgentModelRow(state=state)
    reason = explain_unfinished(build_agent(**changed), MOMENT, reported)
    assert reason is None if begin is None else (reason or "").startswith(begin)


def test_explain_unfinished_names_damaged_content_of_machines_that_could_go_on() -> None:
    queued = AgentModelRow(state="queued")
    for reported in (None, queued):
        reason = explain_unfinished(build_agent(), MOMENT, reported, is_damaged=True)
        assert (reason or "").startswith("The registry's copy is damaged")
    assert explain_unfinished(build_agent(paused=True), MOMENT, queued, is_damaged=True) == "The machine is paused."


def test_replica_on_a_machine_without_heartbeats_says_so_in_both_lists(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    model_id = register_model(team, "one")
    [shown] = team.get("/agents/render-07/models").json()["agent_model_list"]
    assert shown["reason"].startswith("The agent begins once it has read its new list")
    set_last_heartbeat_ago(shared_registry, team, 3600)
    for path in ("/agents/render-07/models", f"/models/{model_id}/agents"):
        [shown] = team.get(path).json()["agent_model_list"]
        assert shown["state"] == "queued"
        assert shown["reason"].startswith("The machine is offline: its last heartbeat was at ")
