"""``machine`` and ``unused``: what people see and set of machines."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard import __version__
from modelyard.build import get_build_id
from modelyard.client.api.registry import RegistryApi
from modelyard.wire.agents.heartbeats import Heartbeat
from tests.cli.conftest import Command
from tests.client.server_process import Team
from tests.comfyui.comfyui_server import ComfyUIServer

pytestmark = pytest.mark.slow


def test_machine_ls_and_show_after_agent_run_once_have_model_ready_and_key(
    run_once: Callable[[], None], as_agent: Command, folder: Path
) -> None:
    run_once()
    assert (folder / "loras/ink.safetensors").is_file()
    (agent,) = json.loads(as_agent("machine", "ls", "--json").out)["agent_list"]
    assert as_agent("machine", "ls", "--state", "up to date").code == 0
    assert (agent["agent_id"], agent["models_ready"], agent["models_desired"]) == ("render-07", 1, 1)
    shown = json.loads(as_agent("machine", "show", "RENDER-07", "--json").out)
    assert [model["state"] for model in shown["agent_model_list"]] == ["ready"]
    key = os.environ["MODELYARD_AGENT_KEY"][:11]
    assert f"{key}… (render-07)" in as_agent("machine", "show", "render-07").out
    assert "render-07  ready" in as_agent("show", "ink").out
    assert f"{__version__} (build {get_build_id()}) on " in as_agent("machine", "show", "render-07").out


def test_machine_label_pause_resume_sync_and_rm_change_its_record(
    run_once: Callable[[], None], as_agent: Command
) -> None:
    run_once()
    for words in (("label", "render-07", "gpu24"), ("pause", "render-07"), ("sync", "render-07")):
        assert as_agent("machine", *words).code == 0
    shown = json.loads(as_agent("machine", "show", "render-07", "--json").out)
    assert (shown["central_labels"], shown["paused"]) == (["gpu24"], True)
    assert as_agent("machine", "resume", "render-07").code == 0
    assert as_agent("machine", "label", "render-07").code == 0
    assert json.loads(as_agent("machine", "show", "render-07", "--json").out)["central_labels"] == []
    assert as_agent("machine", "rm", "render-07").code == 0
    assert as_agent("machine", "show", "render-07").code == 4


def test_machine_assign_and_unassign_place_and_remove_a_model_that_labels_exclude(
    run_once: Callable[[], None], as_agent: Command, folder: Path
) -> None:
    assert as_agent("edit", "ink", "--label", "gpu24").code == 0
    run_once()
    assert not (folder / "loras/ink.safetensors").exists()
    assert as_agent("machine", "assign", "render-07", "ink", "mystery").code == 4
    assert json.loads(as_agent("machine", "show", "render-07", "--json").out)["agent_model_list"] == []
    assigned = as_agent("machine", "assign", "RENDER-07", "ink", "--json")
    assert (assigned.code, len(json.loads(assigned.out)["model_ids"])) == (0, 1)
    run_once()
    assert (folder / "loras/ink.safetensors").is_file()
    assert "assignment" in as_agent("machine", "show", "render-07").out
    assert "assignment" in as_agent("show", "ink").out
    assert as_agent("machine", "unassign", "render-07", "ink").out == (
        "models/loras/ink.safetensors is no longer assigned to render-07\n"
    )
    run_once()
    assert not (folder / "loras/ink.safetensors").exists()


def test_machine_approve_and_agent_approve_without_held_removals_are_refused(
    run_once: Callable[[], None], as_agent: Command
) -> None:
    run_once()
    assert as_agent("machine", "approve", "render-07", "--yes").code == 4
    assert as_agent("agent", "approve").err == "No removal is waiting for approval.\n"


def hold_removal(team: Team, files: int) -> None:
    """Report a removal of so many files that waits for approval, as the machine with the agent key."""

    async def send() -> None:
        held = Heartbeat(agent_id="render-07", removal_waiting=files, removal_token=f"{files:064x}")
        async with RegistryApi(team.url, os.environ["MODELYARD_AGENT_KEY"]) as machine:
            await machine.send_heartbeat(held)

    asyncio.run(send())


class Answers:
    """A terminal at which a person answers the question with yes, after something else has happened."""

    def __init__(self, before_answer: Callable[[], None]) -> None:
        self._before_answer = before_answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        self._before_answer()
        return "y\n"


def test_machine_approve_without_a_terminal_asks_for_yes_and_names_the_number(
    process: Command, as_agent: Command, team: Team
) -> None:
    hold_removal(team, 3)
    refused = process("machine", "approve", "render-07")
    assert refused.code == 2
    assert "3 files on render-07" in refused.err
    assert "--yes" in refused.err
    approved = process("machine", "approve", "render-07", "--yes", "--json")
    assert (approved.code, json.loads(approved.out)["count"]) == (0, 3)


def test_machine_approve_approves_nothing_if_other_files_wait_when_it_is_answered(
    as_agent: Command, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_removal(team, 3)
    monkeypatch.setattr("sys.stdin", Answers(lambda: hold_removal(team, 400)))
    refused = as_agent("machine", "approve", "render-07")
    assert refused.code == 4
    assert "Approve the removal of 3 files on render-07?" in refused.err
    assert "400 files wait now" in refused.err
    monkeypatch.setattr("sys.stdin", Answers(lambda: None))
    assert as_agent("machine", "approve", "render-07").code == 0


def test_machine_ls_shows_count_of_models_not_loaded_by_comfyui(
    process: Command, as_agent: Command, comfyui: ComfyUIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = comfyui.listing.base
    comfyui.listing.extensions["loras"] = frozenset({".none"})
    monkeypatch.setenv("MODELYARD_AGENT_COMFYUI_URL", comfyui.url)
    process("agent", "run", "--comfyui", base, "--once")
    assert "1 of 1 (1 not loaded)" in as_agent("machine", "ls").out


def test_unused_names_machines_that_have_not_counted_long_enough(pushed: Command, run_once: Callable[[], None]) -> None:
    run_once()
    ran = pushed("unused", "--days", "30")
    assert ran.code == 0, ran.err
    assert ran.out == "No model is known to be unused for 30 days.\n"
    assert "render-07" in ran.err
    document = json.loads(pushed("unused", "--machine", "render-07", "--json").out)
    assert (document["unused_model_list"], document["total_bytes"]) == ([], 0)
