"""The warning of an agent that starts for the first time in folders in which an agent of another name has run."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.agent.reconciliation.adoption import describe_other_agents
from tests.agent.agent_machine import AgentMachine
from tests.server.harness import ApiCaller, make_model_file

pytestmark = pytest.mark.slow


@pytest.fixture
def old(team: ApiCaller, machine: AgentMachine) -> AgentMachine:
    """A machine ``render-07`` that has placed ``loras/ink.safetensors``, which the team disabled then."""
    model_id = team.register(make_model_file("ink"), "loras/ink.safetensors")
    assert machine.reconcile_once() is not None
    assert machine.has_file("loras/ink.safetensors")
    team.put(f"/models/{model_id}", model_status="disabled")
    return machine


def rename(team: ApiCaller, machine: AgentMachine, **settings: object) -> AgentMachine:
    """Return the same machine with the name ``studio-07`` and a key of its own, and other settings."""
    key = team.post("/credentials", kind="agent", display_name="studio-07").json()["raw_key"]
    return replace(machine, agent_id="studio-07", key=key, settings=settings)


def warn(machine: AgentMachine) -> str | None:
    """Return the warning of a start."""
    options = machine.start_options
    return describe_other_agents(options.state_dir, options.settings, options.credentials.url)


def test_first_start_after_another_agent_warns_once_and_names_the_command_that_lists_what_it_adopts(
    team: ApiCaller, old: AgentMachine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    more = tmp_path / "more models"
    more.mkdir()
    renamed = rename(team, old, models_dir=[old.models, more])
    command = f"modelyard agent adopt --models-dir={old.models} '--models-dir={more}' --agent-id=studio-07 --dry-run"

    assert renamed.reconcile_once() is not None
    assert renamed.reconcile_once() is not None

    assert [each for each in caplog.messages if "render-07" in each] == [
        "The agent 'render-07' has run in these folders. What it placed counts as your own files for this one. If this"
        " machine was renamed, stop this agent and let it adopt them. It takes all files at models' places that have"
        " the content of the team's models, also those that you put there. Look first, then run this without --dry-run:"
        f" {command}"
    ]
    assert old.has_file("loras/ink.safetensors")


def test_agent_with_other_folders_or_registry_is_not_warned_of(
    team: ApiCaller, old: AgentMachine, tmp_path: Path
) -> None:
    renamed = rename(team, old)
    assert warn(renamed) is not None
    assert warn(replace(renamed, url="http://other.example")) is None
    assert warn(replace(renamed, settings={"models_dir": [tmp_path]})) is None


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}"])
def test_agent_without_a_readable_status_is_not_warned_of(team: ApiCaller, old: AgentMachine, content: bytes) -> None:
    (old.start_options.folder.path / "status.json").write_bytes(content)
    assert warn(rename(team, old)) is None


def test_status_that_cannot_be_opened_is_left_out(team: ApiCaller, old: AgentMachine) -> None:
    file = old.start_options.folder.path / "status.json"
    file.unlink()
    file.mkdir()
    assert warn(rename(team, old)) is None


def test_agent_removes_what_it_placed_after_an_agent_of_another_name_left_it(
    team: ApiCaller, old: AgentMachine
) -> None:
    assert rename(team, old).reconcile_once() is not None
    assert old.has_file("loras/ink.safetensors")
    assert old.reconcile_once() is not None
    assert not old.has_file("loras/ink.safetensors")
