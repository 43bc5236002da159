"""Files that users add or remove, and files that a disk corrupts, noticed by an idle agent."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.agent.reconciliation.idle_checks import FOLDER_CHECK_SECONDS
from modelyard.sync.inventory.folder_mtimes import FolderMtimes, get_folder_mtime
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.test_agent_sync import get_model_states
from tests.server.harness import ApiCaller, make_model_file
from tests.sync.test_scrub import flip_bit

pytestmark = pytest.mark.slow


async def test_agent_deleted_model_file_is_placed_again_after_folder_check(
    team: ApiCaller, machine: AgentMachine
) -> None:
    team.register(make_model_file("ink"), "loras/flux/ink.safetensors")
    async with machine.running() as agent:
        agent.idle_checks.folder_check_seconds = 0.2
        await wait_until(lambda: machine.has_file("loras/flux/ink.safetensors"))
        (machine.models / "loras/flux/ink.safetensors").unlink()
        await wait_until(lambda: machine.has_file("loras/flux/ink.safetensors"))


def test_folder_check_interval_is_at_most_30_seconds() -> None:
    assert FOLDER_CHECK_SECONDS <= 30


@pytest.mark.parametrize(
    "change",
    [
        lambda models: (models / "loras/flux/ink.pt").unlink(),
        lambda models: (models / "loras/flux/new.pt").write_bytes(b"new"),
        lambda models: (models / "loras/flux/ink.pt").rename(models / "loras/flux/oil.pt"),
        lambda models: (models / "nas").mkdir(),
        lambda models: (models / "loras/flux").rename(models / "loras/sdxl"),
    ],
    ids=["file deleted", "file added", "file renamed", "missing root created", "folder renamed"],
)
def test_folder_mtimes_has_changed_returns_true_after_change(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = tmp_path / "loras" / "flux"
    folder.mkdir(parents=True)
    (folder / "ink.pt").write_bytes(b"ink")
    for each in (tmp_path / "loras", folder):
        os.utime(each, (0, 0))  # the clock of file systems ticks every few milliseconds
    mtimes = FolderMtimes()
    mtimes.record({each: get_folder_mtime(each) for each in (tmp_path / "loras", folder, tmp_path / "nas")})
    assert not mtimes.has_changed()

    change(tmp_path)

    assert mtimes.has_changed()


def set_last_read_31_days_ago(machine: AgentMachine) -> None:
    database = sqlite3.connect(machine.folder / "state" / "sync" / f"{machine.agent_id}.sqlite")
    with database:
        database.execute("UPDATE placements SET noted_at = noted_at - 31 * 86400")
    database.close()


async def test_agent_scrub_of_corrupt_file_reports_conflict(team: ApiCaller, machine: AgentMachine) -> None:
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    async with machine.running() as agent:
        agent.idle_checks.scrub_seconds = 0.05
        await wait_until(lambda: get_model_states(team, machine) == {"ink.safetensors": "ready"})
        flip_bit(machine.models / "loras/ink.safetensors")
        set_last_read_31_days_ago(machine)
        await wait_until(lambda: get_model_states(team, machine) == {"ink.safetensors": "conflict"})


async def test_run_scrub_with_0_scrub_days_returns(team: ApiCaller, new_machine: Callable[..., AgentMachine]) -> None:
    machine = new_machine(scrub_days=0)
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    async with machine.running() as agent:
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))
        await agent.idle_checks.run_scrub()
