"""The removal limit, with an agent and its registry."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.agent.schedule import LONGEST_RETRY_SECONDS
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.malicious_registry import MaliciousRegistry, build_entry, build_manifest_response
from tests.agent.test_agent_sync import get_agent_row
from tests.server.harness import ApiCaller, make_model_file
from tests.sync.recorded_times import age_removals

pytestmark = pytest.mark.slow


def disable_all(team: ApiCaller, ids: list[str]) -> None:
    for model_id in ids:
        team.put(f"/models/{model_id}", model_status="disabled")


async def test_agent_many_removals_wait_for_approval_in_registry(team: ApiCaller, machine: AgentMachine) -> None:
    ids = [team.register(make_model_file(str(number)), f"loras/{number}.safetensors") for number in range(5)]
    await machine.reconcile()
    disable_all(team, ids)
    async with machine.running():
        await wait_until(lambda: get_agent_row(team, machine).get("removal_waiting") == 5)
        assert machine.has_file("loras/0.safetensors")
        assert "5 of the 5 files" in get_agent_row(team, machine)["waiting_for"]
        assert team.post("/agents/render-07/approve-removal").status_code == 200
        await wait_until(lambda: not any(machine.has_file(f"loras/{number}.safetensors") for number in range(5)))
        await wait_until(lambda: get_agent_row(team, machine)["removal_waiting"] == 0)


async def test_agent_removal_that_frees_budget_starts_blocked_download(
    team: ApiCaller, new_machine: Callable[..., AgentMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    # No retry of the blocked download comes within the test.
    monkeypatch.setattr("modelyard.agent.schedule.FIRST_RETRY_SECONDS", LONGEST_RETRY_SECONDS)
    content = make_model_file("old", 5000)
    machine = new_machine(disk_budget=len(content))
    old = team.register(content, "loras/old.safetensors")
    async with machine.running():
        await wait_until(lambda: machine.has_file("loras/old.safetensors"))
        team.register(make_model_file("new", 5000), "loras/new.safetensors")
        await wait_until(lambda: "disk budget" in machine.waiting_for)
        disable_all(team, [old])
        await wait_until(lambda: machine.has_file("loras/new.safetensors"))


async def test_agent_many_removals_wait_for_approval_on_machine(team: ApiCaller, machine: AgentMachine) -> None:
    ids = [team.register(make_model_file(str(number)), f"loras/{number}.safetensors") for number in range(5)]
    await machine.reconcile()
    disable_all(team, ids)
    async with machine.running():
        await wait_until(lambda: machine.status and machine.status.held)
        status = await asyncio.to_thread(lambda: machine.status)
        assert status is not None
        assert status.held is not None
        assert status.held.count == 5
        await asyncio.to_thread(machine.start_options.folder.write_approval, status.held.token)
        await wait_until(lambda: not any(machine.has_file(f"loras/{number}.safetensors") for number in range(5)))


async def test_agent_approval_is_valid_for_one_removal(team: ApiCaller, machine: AgentMachine) -> None:
    ids = [team.register(make_model_file(str(number)), f"loras/{number}.safetensors") for number in range(5)]
    await machine.reconcile()
    disable_all(team, ids)
    first = await machine.reconcile()
    assert first is not None
    assert first.held is not None
    await asyncio.to_thread(machine.start_options.folder.write_approval, first.held.token)
    await machine.reconcile()
    assert not machine.has_file("loras/0.safetensors")
    for model_id in ids:
        team.put(f"/models/{model_id}", model_status="active")
    await machine.reconcile()
    assert machine.has_file("loras/0.safetensors")
    disable_all(team, ids)
    again = await machine.reconcile()
    assert again is not None
    assert again.held is not None
    assert again.held.token == first.held.token
    assert machine.has_file("loras/0.safetensors")


async def test_agent_consecutive_removals_count_towards_limit(team: ApiCaller, machine: AgentMachine) -> None:
    ids = [team.register(make_model_file(str(number)), f"loras/{number}.safetensors") for number in range(5)]
    await machine.reconcile()
    async with machine.running():
        for number in range(3):
            disable_all(team, [ids[number]])
            await wait_until(lambda: not machine.has_file(f"loras/{number}.safetensors"))  # noqa: B023 - it is awaited at once
        disable_all(team, ids)
        await wait_until(lambda: get_agent_row(team, machine).get("removal_waiting") == 2)
        assert machine.has_file("loras/3.safetensors")
        assert machine.has_file("loras/4.safetensors")
        assert "3 others were removed within the last hour" in get_agent_row(team, machine)["waiting_for"]
        assert team.post("/agents/render-07/approve-removal").status_code == 200
        await wait_until(lambda: not any(machine.has_file(f"loras/{number}.safetensors") for number in range(5)))
        await wait_until(lambda: get_agent_row(team, machine)["removal_waiting"] == 0)


async def test_agent_restart_still_counts_recent_removals(team: ApiCaller, machine: AgentMachine) -> None:
    ids = [team.register(make_model_file(str(number)), f"loras/{number}.safetensors") for number in range(5)]
    await machine.reconcile()
    for model_id in ids:
        disable_all(team, [model_id])
        result = await machine.reconcile()
    assert result is not None
    assert result.held is not None
    assert [removal.target.name for removal in result.held.removals] == ["3.safetensors", "4.safetensors"]
    assert not machine.has_file("loras/2.safetensors")
    await asyncio.to_thread(age_removals, machine.folder / "state" / "sync" / f"{machine.agent_id}.sqlite", 61 * 60)
    later = await machine.reconcile()
    assert later is not None
    assert later.held is None
    assert not machine.has_file("loras/4.safetensors")


async def test_agent_approval_resets_removal_count(team: ApiCaller, machine: AgentMachine) -> None:
    ids = [team.register(make_model_file(str(number)), f"loras/{number}.safetensors") for number in range(8)]
    await machine.reconcile()
    disable_all(team, ids[:3])
    await machine.reconcile()
    disable_all(team, ids[3:5])
    result = await machine.reconcile()
    assert result is not None
    assert result.held is not None
    await asyncio.to_thread(machine.start_options.folder.write_approval, result.held.token)
    await machine.reconcile()
    assert not machine.has_file("loras/4.safetensors")
    disable_all(team, ids[5:])
    last = await machine.reconcile()
    assert last is not None
    assert last.held is None
    assert not any(machine.has_file(f"loras/{number}.safetensors") for number in range(8))


def test_agent_small_removals_by_malicious_registry_stop_at_limit(tmp_path: Path) -> None:
    contents = {f"loras/{number}.pt": f"good {number}".encode() for number in range(20)}
    good = [build_entry(path, content) for path, content in contents.items()]
    script = [build_manifest_response(*good), *(build_manifest_response(*good[number:]) for number in range(3, 20, 3))]
    with MaliciousRegistry(script, {each["id"]: contents[each["model_path"]] for each in good}) as registry_server:
        machine = AgentMachine(tmp_path / "machine", registry_server.url, "ak-x", "render-07")
        for _ in script:
            machine.reconcile_once()
    assert [path for path in contents if not machine.has_file(path)] == list(contents)[:3]
