import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.agent.registry.reports import Reports
from modelyard.agent.schedule import BUSY_HEARTBEAT_SECONDS
from modelyard.agent.startup import open_agent
from modelyard.client.atomic_file import LockHeld
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.server.harness import ApiCaller, make_model_file

pytestmark = pytest.mark.slow


def get_agent_row(team: ApiCaller, machine: AgentMachine) -> dict[str, Any]:
    """Return the machine's row in the registry; empty if there is none."""
    rows: list[dict[str, Any]] = team.get("/agents").json()["agent_list"]
    return next((row for row in rows if row["agent_id"] == machine.agent_id), {})


def get_model_states(team: ApiCaller, machine: AgentMachine) -> dict[str, str]:
    """Return the reported state of each model on the machine, by file name."""
    answer = team.get(f"/agents/{machine.agent_id}/models", per_page=100).json()
    rows = answer.get("agent_model_list", [])  # missing before the first heartbeat
    return {row["model_path"].rpartition("/")[2]: row["state"] for row in rows}


def test_agent_run_once_places_desired_model_and_reports_it(team: ApiCaller, machine: AgentMachine) -> None:
    content = make_model_file("ink", 5000)
    team.register(content, "loras/ink.safetensors")
    result = machine.reconcile_once()
    assert result is not None
    assert (machine.models / "loras/ink.safetensors").read_bytes() == content
    assert get_model_states(team, machine) == {"ink.safetensors": "ready"}
    assert get_agent_row(team, machine)["bytes_held"] == len(content)


def test_agent_log_after_reconcile_counts_models_by_state(
    team: ApiCaller, machine: AgentMachine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "modelyard.agent")
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    team.register(make_model_file("oil"), "loras/oil.safetensors")
    (machine.models / "loras").mkdir()
    (machine.models / "loras/oil.safetensors").write_bytes(b"the user's own")
    machine.reconcile_once()
    assert "2 models: 1 conflict, 1 ready." in caplog.messages


async def test_agent_reactivated_model_is_restored_from_trash(team: ApiCaller, machine: AgentMachine) -> None:
    async with machine.running():
        model_id = team.register(make_model_file("ink"), "loras/ink.safetensors")
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))
        inode = (machine.models / "loras/ink.safetensors").stat().st_ino
        team.put(f"/models/{model_id}", model_status="disabled")
        await wait_until(lambda: not machine.has_file("loras/ink.safetensors"))
        team.put(f"/models/{model_id}", model_status="active")
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))
        assert (machine.models / "loras/ink.safetensors").stat().st_ino == inode
        await wait_until(lambda: get_model_states(team, machine) == {"ink.safetensors": "ready"})


async def test_agent_new_version_replaces_file_and_activated_one_comes_from_trash(
    team: ApiCaller, machine: AgentMachine
) -> None:
    file = machine.models / "loras/ink.safetensors"
    first, second = make_model_file("first"), make_model_file("second")

    def is_ready(content: bytes) -> bool:
        return (
            file.is_file()
            and file.read_bytes() == content
            and get_model_states(team, machine) == {"ink.safetensors": "ready"}
        )

    async with machine.running():
        model_id = team.register(first)
        await wait_until(lambda: is_ready(first))
        inode = file.stat().st_ino
        team.register(second, replaces=model_id)
        await wait_until(lambda: is_ready(second))
        assert team.post(f"/models/{model_id}/versions/1/activate").status_code == 200
        await wait_until(lambda: is_ready(first))
        assert file.stat().st_ino == inode


async def test_agent_places_only_models_whose_labels_it_has(
    team: ApiCaller, new_machine: Callable[..., AgentMachine]
) -> None:
    team.register(make_model_file("big"), "loras/big.safetensors", required_labels=["gpu24"])
    small, large = new_machine("small"), new_machine("large", labels=["gpu24"])
    await small.reconcile()
    await large.reconcile()
    assert large.has_file("loras/big.safetensors")
    assert not small.has_file("loras/big.safetensors")
    async with small.running():
        team.put("/agents/small", agent_labels=["gpu24"])
        await wait_until(lambda: small.has_file("loras/big.safetensors"))


async def test_agent_paused_downloads_nothing_and_reports_pause(team: ApiCaller, machine: AgentMachine) -> None:
    async with machine.running() as agent:
        await wait_until(lambda: get_agent_row(team, machine))
        team.put("/agents/render-07", paused=True)
        await wait_until(lambda: agent.status.paused)
        team.register(make_model_file("ink"), "loras/ink.safetensors")
        await wait_until(
            lambda: get_agent_row(team, machine)["waiting_for"] == "This machine is paused in the registry."
        )
        await wait_until(lambda: get_model_states(team, machine) == {"ink.safetensors": "queued"})
        assert not machine.has_file("loras/ink.safetensors")
        team.put("/agents/render-07", paused=False)
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))


async def test_agent_pause_cancels_download_and_keeps_reported_states(
    team: ApiCaller, new_machine: Callable[..., AgentMachine]
) -> None:
    machine = new_machine(rate_limit="50kB")
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    async with machine.running():
        await wait_until(lambda: get_model_states(team, machine) == {"ink.safetensors": "ready"})
        team.register(make_model_file("long", 6_000_000), "loras/long.safetensors")
        await wait_until(lambda: get_model_states(team, machine).get("long.safetensors") == "downloading")
        team.put("/agents/render-07", paused=True)
        await wait_until(
            lambda: get_model_states(team, machine) == {"ink.safetensors": "ready", "long.safetensors": "queued"}
        )
        assert not machine.has_file("loras/long.safetensors")
        team.put("/agents/render-07", paused=False)
        await wait_until(lambda: get_model_states(team, machine).get("long.safetensors") == "downloading")


async def test_agent_new_model_during_long_download_is_placed_at_once(
    team: ApiCaller, new_machine: Callable[..., AgentMachine]
) -> None:
    machine = new_machine(rate_limit="100kB")
    team.register(make_model_file("long", 20_000_000), "loras/long.safetensors")
    async with machine.running() as agent:
        await wait_until(lambda: agent.status.phase == "downloading")
        await wait_until(lambda: machine.waiting_for == "Downloads take at most 100.0 kB a second here.")
        team.register(make_model_file("short"), "loras/short.safetensors")
        await wait_until(lambda: machine.has_file("loras/short.safetensors"))
        assert not machine.has_file("loras/long.safetensors")


async def test_agent_model_behind_other_downloads_reports_queued_reason(
    team: ApiCaller, new_machine: Callable[..., AgentMachine]
) -> None:
    machine = new_machine(rate_limit="20kB", parallel=1)
    for name in ("one", "two"):
        team.register(make_model_file(name, 1_500_000), f"loras/{name}.safetensors")

    def reasons() -> set[str | None]:
        answer = team.get(f"/agents/{machine.agent_id}/models", per_page=100).json()
        return {row["reason"] for row in answer.get("agent_model_list", []) if row["state"] == "queued"}

    async with machine.running():
        await wait_until(lambda: "Queued: other downloads are running." in reasons())


async def test_agent_starting_download_reports_downloading_phase(
    team: ApiCaller, new_machine: Callable[..., AgentMachine]
) -> None:
    machine = new_machine(rate_limit="100kB")
    team.register(make_model_file("first"), "loras/first.safetensors")
    async with machine.running():
        await wait_until(lambda: get_model_states(team, machine) == {"first.safetensors": "ready"})
        await wait_until(lambda: get_agent_row(team, machine)["agent_status"] == "idle")
        team.register(make_model_file("long", 10_000_000), "loras/long.safetensors")
        await wait_until(lambda: get_agent_row(team, machine)["sync_phase"] == "downloading")
        assert not machine.has_file("loras/long.safetensors")


async def test_agent_whose_actions_begin_requests_heartbeat_before_the_regular_one(machine: AgentMachine) -> None:
    async with open_agent(machine.start_options) as agent:
        schedule = agent.heartbeat_timer.schedule
        schedule.record_success(100.0, 30.0, is_busy=False)
        agent.status.set_result(ReconcileResult(is_active=True))
        assert schedule.get_wait(100.0) == BUSY_HEARTBEAT_SECONDS


async def test_agent_sync_request_replaces_deleted_file(team: ApiCaller, machine: AgentMachine) -> None:
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    async with machine.running():
        await wait_until(lambda: get_model_states(team, machine) == {"ink.safetensors": "ready"})
        (machine.models / "loras/ink.safetensors").unlink()
        team.post("/agents/render-07/sync")
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))


async def test_agent_user_file_at_model_path_reports_conflict_and_keeps_file(
    team: ApiCaller, machine: AgentMachine
) -> None:
    (machine.models / "loras").mkdir()
    (machine.models / "loras/ink.safetensors").write_bytes(b"user file")
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    async with machine.running():
        await wait_until(lambda: get_model_states(team, machine) == {"ink.safetensors": "conflict"})
    assert (machine.models / "loras/ink.safetensors").read_bytes() == b"user file"


async def test_agent_revoked_key_refuses_connection_and_keeps_files(team: ApiCaller, machine: AgentMachine) -> None:
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    async with machine.running() as agent:
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))
        team.delete(f"/credentials/{machine.key_id}")
        await wait_until(lambda: agent.status.connection.state == "refused")
        await wait_until(lambda: "refuses this machine" in machine.waiting_for)
        assert "agent pair" in (agent.status.connection.reason or "")
        assert "Sign in" not in (agent.status.connection.reason or "")
        assert machine.has_file("loras/ink.safetensors")


async def test_agent_purge_on_revoke_removes_placed_files_and_keeps_adopted_files(
    team: ApiCaller, new_machine: Callable[..., AgentMachine]
) -> None:
    machine = new_machine(purge_on_revoke=True)
    adopted = make_model_file("adopted")
    (machine.models / "loras").mkdir()
    (machine.models / "loras/adopted.safetensors").write_bytes(adopted)
    team.register(adopted, "loras/adopted.safetensors")
    for number in range(5):
        team.register(make_model_file(str(number)), f"loras/{number}.safetensors")
    async with machine.running() as agent:
        await wait_until(lambda: all(machine.has_file(f"loras/{number}.safetensors") for number in range(5)))
        await wait_until(lambda: agent.status.phase == "idle")
        (machine.models / "loras/4.safetensors").write_bytes(b"changed by its user")
        team.delete(f"/credentials/{machine.key_id}")
        await wait_until(lambda: not any(machine.has_file(f"loras/{number}.safetensors") for number in range(4)))
        await wait_until(lambda: not any((machine.models / ".modelyard/trash").iterdir()))
    assert machine.has_file("loras/adopted.safetensors")
    assert machine.has_file("loras/4.safetensors")


async def test_agent_second_start_on_same_machine_raises_lock_held(machine: AgentMachine) -> None:
    async with machine.running():
        with pytest.raises(LockHeld, match="already running here"):
            async with machine.running():
                pass


async def test_agent_stop_is_reported_to_registry_and_status_file(team: ApiCaller, machine: AgentMachine) -> None:
    async with machine.running() as agent:
        await wait_until(lambda: agent.status.connection.is_up)
        assert get_agent_row(team, machine)["machine_state"] != "offline"
    row = get_agent_row(team, machine)
    assert row["sync_detail"] == "The agent was stopped."
    assert (row["machine_state"], row["stopped_at"]) == ("offline", row["last_heartbeat"])
    status = await asyncio.to_thread(lambda: machine.status)
    assert status is not None
    assert status.link == "stopped"


async def test_agent_deleted_in_registry_registers_and_reports_its_state_again(
    team: ApiCaller, machine: AgentMachine
) -> None:
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    async with machine.running() as agent:
        await wait_until(lambda: get_model_states(team, machine) == {"ink.safetensors": "ready"})
        reports: Reports = agent.status.reports
        await wait_until(lambda: not reports.has_unreported)
        assert team.delete("/agents/render-07").status_code == 204
        await wait_until(lambda: len(team.get("/agents").json()["agent_list"]) == 1)
        await wait_until(lambda: get_model_states(team, machine) == {"ink.safetensors": "ready"})
