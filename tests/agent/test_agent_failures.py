import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.malicious_registry import CannedResponse, MaliciousRegistry, build_entry, build_manifest_response
from tests.ports import free_port
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

MEBIBYTE = 1024 * 1024
# Soon reached, and so small a part of a download that it goes on for a long time.
PARTIAL_BYTES = 256 * 1024


@pytest.fixture
def own_registry(tmp_path: Path) -> Iterator[RunningServer]:
    """A registry that a test may stop and restart at the same address."""
    with RunningServer(tmp_path / "data", port=free_port()) as server:
        yield server


def create_owner_and_machine(server: RunningServer, folder: Path, **settings: object) -> tuple[ApiCaller, AgentMachine]:
    owner = server.owner()
    key = owner.post("/credentials", kind="agent", display_name="machine").json()
    return owner, AgentMachine(folder / "machine", server.url, key["raw_key"], "machine", key["id"], settings)


@pytest.mark.extended(
    reason="waits for an outage and the pauses of an agent; test_registry_connection.py has the states"
)
async def test_agent_registry_outage_keeps_files_and_syncs_after_reconnect(
    own_registry: RunningServer, tmp_path: Path
) -> None:
    owner, machine = create_owner_and_machine(own_registry, tmp_path)
    model_id = owner.register(make_model_file("ink"), "loras/ink.safetensors")
    async with machine.running() as agent:
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))
        own_registry.kill()
        await wait_until(lambda: agent.status.connection.state == "lost")
        assert machine.has_file("loras/ink.safetensors")
        own_registry.start()
        owner = own_registry.owner()
        owner.put(f"/models/{model_id}", model_status="disabled")
        await wait_until(lambda: not machine.has_file("loras/ink.safetensors"))
        assert agent.status.connection.is_up


@pytest.mark.extended(
    reason="waits for an outage and the pauses of an agent; test_registry_connection.py has the states"
)
async def test_agent_start_during_outage_syncs_after_reconnect(own_registry: RunningServer, tmp_path: Path) -> None:
    owner, machine = create_owner_and_machine(own_registry, tmp_path)
    owner.register(make_model_file("ink"), "loras/ink.safetensors")
    own_registry.kill()
    async with machine.running() as agent:
        await wait_until(lambda: agent.status.connection.state == "lost")
        own_registry.start()
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))


@pytest.mark.extended(
    reason="waits for an outage and the pauses of an agent; test_registry_connection.py has the states"
)
async def test_agent_restart_during_outage_shows_previous_counts(own_registry: RunningServer, tmp_path: Path) -> None:
    owner, machine = create_owner_and_machine(own_registry, tmp_path)
    owner.register(make_model_file("ink"), "loras/ink.safetensors")
    await machine.reconcile()
    before = await asyncio.to_thread(lambda: machine.status)
    assert before is not None
    assert before.bytes_held > 0
    own_registry.kill()
    async with machine.running() as agent:
        await wait_until(
            lambda: agent.status.connection.state == "lost" and machine.status and machine.status.link == "lost"
        )
        status = await asyncio.to_thread(lambda: machine.status)
        assert status is not None
        assert (status.counts, status.bytes_held, status.counted_at) == (
            {"ready": 1},
            before.bytes_held,
            before.counted_at,
        )
        assert own_registry.url in (status.link_reason or "")
        assert status.link_since == agent.status.connection.since


async def test_agent_one_missing_folder_syncs_others_and_reports_waiting_count(
    team: ApiCaller, new_machine: Callable[..., AgentMachine], tmp_path: Path
) -> None:
    comfyui = tmp_path / "ComfyUI"
    (comfyui / "models" / "loras").mkdir(parents=True)
    (comfyui / "extra_model_paths.yaml").write_text(f"nas:\n  is_default: true\n  vae: {tmp_path}/nas/vae\n")
    machine = new_machine(models_dir=[], comfyui=[comfyui], comfyui_url=["http://127.0.0.1:9"])
    team.register(make_model_file("lora"), "loras/ink.safetensors")
    team.register(make_model_file("vae"), "vae/ink.safetensors")

    await machine.reconcile()

    assert (comfyui / "models/loras/ink.safetensors").exists()
    waiting_for = await asyncio.to_thread(lambda: machine.waiting_for)
    assert waiting_for.startswith("1 of 2 models waits: The folder")
    assert "nas/vae" in waiting_for


def return_longest_wait() -> float:
    """Return a jitter that makes the next wait longer than any test."""
    return 10_000.0


@pytest.mark.extended(
    reason="waits for an outage and the pauses of an agent; test_registry_connection.py has the states"
)
async def test_agent_heartbeat_after_outage_fetches_manifest_at_once(
    own_registry: RunningServer, tmp_path: Path
) -> None:
    _, machine = create_owner_and_machine(own_registry, tmp_path)
    async with machine.running() as agent:
        await wait_until(lambda: agent.status.connection.is_up)
        agent.poller.backoff.get_jitter = return_longest_wait
        own_registry.kill()
        await wait_until(lambda: agent.poller.backoff.has_failed)
        own_registry.start()
        own_registry.owner().register(make_model_file("ink"), "loras/ink.safetensors")
        agent.heartbeat_timer.request()
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))


@pytest.mark.extended(
    reason="waits for an outage and the pauses of an agent; test_registry_connection.py has the states"
)
async def test_agent_manifest_after_outage_sends_heartbeat_at_once(own_registry: RunningServer, tmp_path: Path) -> None:
    _, machine = create_owner_and_machine(own_registry, tmp_path)
    async with machine.running() as agent:
        await wait_until(lambda: agent.status.connection.is_up)
        agent.heartbeat_timer.schedule.backoff.get_jitter = return_longest_wait
        own_registry.kill()
        agent.heartbeat_timer.request()
        await wait_until(lambda: agent.heartbeat_timer.schedule.has_failed)
        before = agent.status.last_heartbeat
        own_registry.start()
        await wait_until(lambda: agent.status.last_heartbeat != before)


async def test_agent_hanging_long_poll_is_repeated_after_sync_request(tmp_path: Path) -> None:
    content, released = b"good" * 6, threading.Event()
    desired = build_entry("loras/ink.pt", content)
    with MaliciousRegistry(
        [build_manifest_response(), CannedResponse(b"", 304, hold=released), build_manifest_response(desired)],
        {desired["id"]: content},
    ) as registry_server:
        machine = AgentMachine(tmp_path / "machine", registry_server.url, "ak-x", "machine")
        try:
            async with machine.running():
                await wait_until(lambda: machine.has_file("loras/ink.pt"))
        finally:
            released.set()


async def test_agent_outside_download_hours_reports_start_time(
    team: ApiCaller, new_machine: Callable[..., AgentMachine]
) -> None:
    hour = (datetime.now().astimezone().hour + 2) % 24
    machine = new_machine(hours=f"{hour:02}:00-{(hour + 1) % 24:02}:00")
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    async with machine.running():
        await wait_until(lambda: machine.waiting_for == f"Downloads start at {hour:02}:00.")
    assert not machine.has_file("loras/ink.safetensors")


async def test_agent_over_disk_budget_reports_budget(team: ApiCaller, new_machine: Callable[..., AgentMachine]) -> None:
    machine = new_machine(disk_budget=100)
    team.register(make_model_file("ink", 5000), "loras/ink.safetensors")
    async with machine.running():
        await wait_until(lambda: "disk budget of 100 B" in machine.waiting_for)


async def test_agent_below_keep_free_reports_disk_space(
    team: ApiCaller, new_machine: Callable[..., AgentMachine]
) -> None:
    machine = new_machine(keep_free="500PB")
    team.register(make_model_file("ink", 5000), "loras/ink.safetensors")
    async with machine.running():
        await wait_until(
            lambda: "500000.0 TB" in machine.waiting_for or "more than the whole disk" in machine.waiting_for
        )


async def test_agent_missing_models_folder_is_reported_until_it_returns(team: ApiCaller, machine: AgentMachine) -> None:
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    async with machine.running():
        await wait_until(lambda: machine.has_file("loras/ink.safetensors"))
        moved = machine.models.rename(machine.folder / "moved")
        team.post(f"/agents/{machine.agent_id}/sync")
        await wait_until(lambda: "does not exist" in machine.waiting_for)
        moved.rename(machine.models)
        team.post(f"/agents/{machine.agent_id}/sync")
        await wait_until(lambda: not machine.waiting_for)
        assert machine.has_file("loras/ink.safetensors")


def start_agent_process(machine: AgentMachine, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
    """Start ``agent run`` in a process of its own."""
    settings_of_machine = {
        "URL": machine.url,
        "KEY": machine.key,
        "CONFIG": str(machine.folder / "agent.toml"),
        "KEEP_FREE": "0",
    } | settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
    environment |= {f"MODELYARD_AGENT_{name}": value for name, value in settings_of_machine.items()}
    environment["XDG_STATE_HOME"] = str(machine.folder / "process")
    command = [sys.executable, "-m", "modelyard", "agent", "run", "--models-dir", str(machine.models), *arguments]
    return subprocess.Popen(
        [*command, "--agent-id", machine.agent_id],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def count_partial_bytes(machine: AgentMachine) -> int:
    """Return the disk space of partial downloads, in bytes."""
    parts = list((machine.models / ".modelyard").glob("*.part"))
    return sum(part.stat().st_blocks * 512 for part in parts)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_agent_signal_during_download_stops_and_next_start_resumes(
    team: ApiCaller, machine: AgentMachine, number: signal.Signals
) -> None:
    content = make_model_file("ink", 6 * MEBIBYTE)
    team.register(content, "loras/ink.safetensors")
    running = start_agent_process(machine, RATE_LIMIT="200KB")
    await wait_until(lambda: count_partial_bytes(machine) > PARTIAL_BYTES)
    running.send_signal(number)
    _, stderr = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0, stderr
    assert "Stopped." in stderr
    partial_bytes = count_partial_bytes(machine)
    assert partial_bytes > PARTIAL_BYTES
    assert not machine.has_file("loras/ink.safetensors")
    again = start_agent_process(machine, "--once")
    _, stderr = again.communicate(timeout=PATIENCE_SECONDS)
    assert again.returncode == 0, stderr
    assert (machine.models / "loras/ink.safetensors").read_bytes() == content


async def test_agent_revoked_key_cancels_running_download(team: ApiCaller, machine: AgentMachine) -> None:
    team.register(make_model_file("ink", 12 * MEBIBYTE), "loras/ink.safetensors")
    running = start_agent_process(machine, RATE_LIMIT="200KB")
    try:
        await wait_until(lambda: count_partial_bytes(machine) > PARTIAL_BYTES)
        team.delete(f"/credentials/{machine.key_id}")
        assert running.stderr is not None
        lines = iter(running.stderr.readline, "")
        assert any("refuses this machine" in line for line in lines)
        await wait_until(lambda: not _list_open_files(machine, running.pid))
        assert not machine.has_file("loras/ink.safetensors")
    finally:
        running.terminate()
        running.communicate(timeout=PATIENCE_SECONDS)


def _list_open_files(machine: AgentMachine, pid: int) -> list[Path]:
    """Return the partial files that a process has open (Linux)."""
    opened = set[Path]()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            opened.add(descriptor.readlink())
    return [file for file in machine.models.rglob("*.part") if file.resolve() in opened]
