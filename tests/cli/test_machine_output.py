"""What ``machine show`` prints of fields that a machine may leave empty."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelyard.cli.registry.machines.output import build_fields, build_row, format_machine_lines, format_models
from modelyard.server.models.replicas.problems import describe_held_removals
from modelyard.wire.agents.machines import Agent
from modelyard.wire.agents.replicas import AgentModel

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("platform", "shown"), [("linux-x86_64", "0.3.0 on linux-x86_64"), ("", "0.3.0")], ids=["known", "unknown"]
)
def test_build_fields_version_has_the_platform_if_it_is_known(platform: str, shown: str) -> None:
    assert dict(build_fields(build_agent(platform)))["version"] == shown


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("A conflict.", "A conflict. The removal of 14 files waits for approval by an admin."),
        (None, "The removal of 14 files waits for approval by an admin."),
        (describe_held_removals(14), describe_held_removals(14)),
    ],
    ids=["conflict", "none", "removal"],
)
def test_rows_of_machines_say_that_removals_wait_once(reason: str | None, shown: str) -> None:
    agent = build_agent("").model_copy(update={"removal_waiting": 14, "state_reason": reason})
    assert build_row(agent)[-1] == shown
    assert dict(build_fields(agent))["to remove"] == "14 files, after an approval: modelyard machine approve render-07"


def test_format_models_says_a_shared_reason_once_and_with_all_names_and_other_models_in_the_table() -> None:
    reasons = {f"loras/{name}.sft": "No space." for name in "ab"} | {"models/loras/d.sft": "No space."}
    reasons |= {"vae/c.sft": "Another file is there.", "models/vae/e.sft": "Failed."}
    states: dict[str, Any] = {"state": "blocked", "desired_by": "labels", "bytes_done": 0, "file_size": 5}
    models = [
        AgentModel.model_construct(None, model_path=path, reason=reason, **states) for path, reason in reasons.items()
    ]
    lines = [str(line).rstrip() for line in format_models(models, None)]
    names = "    models/loras/a.sft, models/loras/b.sft, models/loras/d.sft"
    assert lines[:3] == ["", "3 models blocked: No space.", names]
    assert [line.split()[0] for line in lines[3:]] == ["MODEL", "models/vae/c.sft", "models/vae/e.sft"]
    assert format_models([], None) == []


def build_model(agent_id: str, reason: str | None, path: str = "models/loras/ink.sft") -> AgentModel:
    states: dict[str, Any] = {"state": "queued", "desired_by": "labels", "bytes_done": 0, "file_size": 5}
    return AgentModel.model_construct(None, agent_id=agent_id, model_path=path, reason=reason, **states)


def test_format_models_leaves_the_reason_of_the_machine_out() -> None:
    paths = ["models/loras/a.sft", "models/loras/b.sft"]
    models = [build_model("render-07", "The machine is offline. No heartbeats.", path) for path in paths]
    lines = [str(line).rstrip() for line in format_models(models, 80, "No heartbeats.")]
    assert [line.split()[:2] for line in lines[2:]] == [[path, "queued"] for path in paths]
    assert "heartbeats" not in "".join(lines)
    other = format_models([build_model("render-07", "No space.")], 80, "No heartbeats.")
    assert "No space." in "".join(map(str, other))


def test_format_machine_lines_says_a_reason_of_several_machines_once_with_their_names() -> None:
    machines = [build_model(name, "The machine is offline.") for name in ("a", "b")]
    lines = [str(line).rstrip() for line in format_machine_lines([*machines, build_model("c", None)], 80)]
    assert lines[:3] == ["", "2 machines queued: The machine is offline.", "    a, b"]
    assert [line.split()[0] for line in lines[3:]] == ["MACHINE", "c"]


def build_agent(platform: str) -> Agent:
    unused: dict[str, Any] = {name: None for name, field in Agent.model_fields.items() if field.is_required()}
    texts = {"agent_id": "render-07", "machine_state": "up_to_date", "sync_phase": "idle", "agent_version": "0.3.0"}
    lists: dict[str, Any] = {"agent_labels": [], "central_labels": [], "ignored_labels": []}
    rest: dict[str, Any] = {"bytes_held": 0, "last_heartbeat": NOW, "connected_at": NOW, "platform_arch": platform}
    return Agent.model_construct(None, **(unused | texts | lists | rest))
