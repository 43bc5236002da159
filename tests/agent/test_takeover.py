"""An agent that starts with another name goes on managing what it placed under the old one, and no user's file."""

import asyncio
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.agent.reconciliation.takeover import take_over_placements
from modelyard.agent.state_folder import list_agent_ids, read_host_id
from modelyard.client.atomic_file import locked
from modelyard.sync.machine_state import open_machine_state
from modelyard.transfer.source_file import FileIdentity
from tests.agent.agent_machine import AgentMachine
from tests.server.harness import ApiCaller, make_model_file

pytestmark = pytest.mark.slow


def rename(team: ApiCaller, machine: AgentMachine, name: str, **settings: object) -> AgentMachine:
    """Return the same machine with another name and a key of its own, and other settings."""
    key = team.post("/credentials", kind="agent", display_name=name).json()["raw_key"]
    return replace(machine, agent_id=name, key=key, settings=settings)


@pytest.fixture
def old(team: ApiCaller, machine: AgentMachine) -> AgentMachine:
    """A machine that has placed ``loras/ink.safetensors``."""
    model_id = team.register(make_model_file("ink"), "loras/ink.safetensors")
    assert machine.reconcile_once() is not None
    assert machine.has_file("loras/ink.safetensors")
    team.put(f"/models/{model_id}", model_status="disabled")
    return machine


def test_agent_with_another_name_removes_what_it_placed_before_and_keeps_user_files(
    team: ApiCaller, old: AgentMachine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "modelyard.agent")
    user_file = old.models / "loras/own.safetensors"
    user_file.write_bytes((old.models / "loras/ink.safetensors").read_bytes())

    renamed = rename(team, old, "studio-07")
    assert renamed.reconcile_once() is not None

    assert not old.has_file("loras/ink.safetensors")
    assert user_file.exists()
    assert "Took over 1 model that the agent 'render-07' placed in the same folders." in caplog.messages
    assert (old.status, renamed.status is None) == (None, False)


def test_agent_with_another_name_takes_a_replaced_file_of_equal_content_for_the_users_own(
    team: ApiCaller, old: AgentMachine
) -> None:
    placed = old.models / "loras/ink.safetensors"
    copy = placed.with_name("copy")
    copy.write_bytes(placed.read_bytes())
    copy.replace(placed)

    assert rename(team, old, "studio-07").reconcile_once() is not None

    assert placed.exists()


async def test_agent_with_another_name_has_the_hashes_of_what_it_placed_before(
    team: ApiCaller, machine: AgentMachine
) -> None:
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    await machine.reconcile()
    path = (machine.models / "loras/ink.safetensors").resolve()
    # A file that was written just now is read again in any case.
    os.utime(path, (1_700_000_000, 1_700_000_000))
    await machine.reconcile()
    status = path.stat()
    identity = FileIdentity(status.st_size, status.st_mtime_ns, status.st_ino)
    options = rename(team, machine, "studio-07").start_options

    async with open_machine_state(options.state_dir, "studio-07") as state:
        warning = await take_over_placements(options.state_dir, options.settings, machine.url, state)
        found = state.index.get_hash(path, identity)

    assert (warning, found) == (None, hashlib.sha256(path.read_bytes()).hexdigest())


def warn_at_start(machine: AgentMachine, caplog: pytest.LogCaptureFixture) -> str:
    """Reconcile once, and return the warnings in the log."""
    caplog.clear()
    assert machine.reconcile_once() is not None
    return "\n".join(record.getMessage() for record in caplog.records if record.levelname == "WARNING")


def test_agent_with_other_folders_too_takes_nothing_over_and_names_the_command_that_adopts(
    team: ApiCaller, old: AgentMachine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    more = tmp_path / "more models"
    more.mkdir()
    renamed = rename(team, old, "studio-07", models_dir=[old.models, more])

    warning = warn_at_start(renamed, caplog)

    assert old.has_file("loras/ink.safetensors")
    command = f"modelyard agent adopt --models-dir={old.models} '--models-dir={more}' --agent-id=studio-07"
    assert "Files in these folders were placed by 'render-07', and count as the user's own here." in warning
    assert warning.endswith(f"If this machine had that name, stop this agent and run: {command}")


def test_agent_takes_nothing_over_from_two_agents_nor_one_that_has_placed_files_from_another(
    team: ApiCaller, old: AgentMachine, caplog: pytest.LogCaptureFixture
) -> None:
    second = rename(team, old, "second", keep_free=2)
    team.register(make_model_file("oil"), "loras/oil.safetensors")

    async def run_second_beside_first() -> None:
        async with locked(old.start_options.folder.lock, wait_seconds=0):
            await second.reconcile()

    asyncio.run(run_second_beside_first())
    # Both may be in use, one after the other.
    assert "were placed by 'render-07', and" in warn_at_start(second, caplog)
    assert old.has_file("loras/ink.safetensors")
    warning = warn_at_start(rename(team, old, "third"), caplog)

    assert "were placed by 'render-07', 'second'" in warning
    assert old.has_file("loras/ink.safetensors")
    assert list_agent_ids(old.start_options.state_dir) == ["render-07", "second", "third"]


def test_agent_takes_nothing_over_from_one_that_runs(
    team: ApiCaller, old: AgentMachine, caplog: pytest.LogCaptureFixture
) -> None:
    async def run_beside_old() -> None:
        async with locked(old.start_options.folder.lock, wait_seconds=0):
            await rename(team, old, "studio-07").reconcile()

    asyncio.run(run_beside_old())

    assert old.has_file("loras/ink.safetensors")
    assert "Another agent runs in the same folders: 'render-07'." in caplog.text


@pytest.mark.skipif(read_host_id() is None, reason="This host has no /etc/machine-id.")
def test_agent_of_another_host_takes_nothing_over(
    team: ApiCaller, old: AgentMachine, caplog: pytest.LogCaptureFixture
) -> None:
    status = old.status
    assert status is not None
    old.start_options.folder.write_status(status.model_copy(update={"host_id": "another"}))

    warning = warn_at_start(rename(team, old, "studio-07"), caplog)

    assert "were placed by 'render-07'" in warning
    assert old.has_file("loras/ink.safetensors")
