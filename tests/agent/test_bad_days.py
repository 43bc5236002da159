import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.agent.box import Box, until
from tests.running import RunningServer
from tests.server.world import Someone, a_model_file

MEBIBYTE = 1024 * 1024


@pytest.fixture
def own_registry(tmp_path: Path) -> Iterator[RunningServer]:
    """One that may be ended, and comes back at the same address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with RunningServer(tmp_path / "data", port=port) as server:
        yield server


def of_registry(server: RunningServer, folder: Path, **settings: object) -> tuple[Someone, Box]:
    owner = server.owner()
    key = owner.post("/credentials", kind="agent", display_name="box").json()
    return owner, Box(folder / "box", server.url, key["raw_key"], "box", key["id"], settings)


async def test_a_registry_that_is_away_costs_nothing_but_freshness(own_registry: RunningServer, tmp_path: Path) -> None:
    owner, box = of_registry(own_registry, tmp_path)
    model_id = owner.register(a_model_file("ink"), "loras/ink.safetensors")
    async with box.running() as agent:
        await until(lambda: box.has("loras/ink.safetensors"))
        own_registry.kill()
        await until(lambda: agent.situation.link.state == "lost")
        assert box.has("loras/ink.safetensors")
        own_registry.start()
        owner = own_registry.owner()
        owner.put(f"/models/{model_id}", model_status="disabled")
        await until(lambda: not box.has("loras/ink.safetensors"))
        assert agent.situation.link.is_up


async def test_an_agent_that_starts_without_its_registry_waits_for_it(
    own_registry: RunningServer, tmp_path: Path
) -> None:
    owner, box = of_registry(own_registry, tmp_path)
    owner.register(a_model_file("ink"), "loras/ink.safetensors")
    own_registry.kill()
    async with box.running() as agent:
        await until(lambda: agent.situation.link.state == "lost")
        own_registry.start()
        await until(lambda: box.has("loras/ink.safetensors"))


async def test_outside_its_hours_a_machine_says_when_it_downloads(team: Someone, new_box: Callable[..., Box]) -> None:
    hour = (datetime.now().astimezone().hour + 2) % 24
    box = new_box(hours=f"{hour:02}:00-{(hour + 1) % 24:02}:00")
    team.register(a_model_file("ink"), "loras/ink.safetensors")
    async with box.running():
        await until(lambda: box.waits_for == f"Downloads start at {hour:02}:00.")
    assert not box.has("loras/ink.safetensors")


async def test_over_its_budget_a_machine_says_so(team: Someone, new_box: Callable[..., Box]) -> None:
    box = new_box(disk_budget=100)
    team.register(a_model_file("ink", 5000), "loras/ink.safetensors")
    async with box.running():
        await until(lambda: "disk budget of 100 B" in box.waits_for)


async def test_below_the_free_space_that_must_stay_a_machine_says_so(
    team: Someone, new_box: Callable[..., Box]
) -> None:
    box = new_box(keep_free="500PB")
    team.register(a_model_file("ink", 5000), "loras/ink.safetensors")
    async with box.running():
        await until(lambda: "500000.0 TB" in box.waits_for or "more than the whole disk" in box.waits_for)


async def test_a_folder_that_went_away_is_said_and_comes_back_by_itself(team: Someone, box: Box) -> None:
    team.register(a_model_file("ink"), "loras/ink.safetensors")
    async with box.running():
        await until(lambda: box.has("loras/ink.safetensors"))
        away = box.models.rename(box.folder / "away")
        team.post(f"/agents/{box.agent_id}/sync")
        await until(lambda: "is not there" in box.waits_for)
        away.rename(box.models)
        team.post(f"/agents/{box.agent_id}/sync")
        await until(lambda: not box.waits_for)
        assert box.has("loras/ink.safetensors")


def process_of(box: Box, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
    """The agent as people run it."""
    ours = {"URL": box.url, "KEY": box.key, "CONFIG": str(box.folder / "agent.toml"), "KEEP_FREE": "0"} | settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
    environment |= {f"MODELYARD_AGENT_{name}": value for name, value in ours.items()}
    environment["XDG_STATE_HOME"] = str(box.folder / "process")
    command = [sys.executable, "-m", "modelyard", "agent", "run", "--models-dir", str(box.models), *arguments]
    return subprocess.Popen(
        [*command, "--agent-id", box.agent_id],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def partial_bytes(box: Box) -> int:
    """Bytes of the disk that unfinished downloads have."""
    parts = list((box.models / ".modelyard").glob("*.part"))
    return sum(part.stat().st_blocks * 512 for part in parts)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_transfers_and_the_next_start_goes_on(
    team: Someone, box: Box, number: signal.Signals
) -> None:
    content = a_model_file("ink", 6 * MEBIBYTE)
    team.register(content, "loras/ink.safetensors")
    running = process_of(box, RATE_LIMIT="2MB")
    await until(lambda: partial_bytes(box) > MEBIBYTE)
    running.send_signal(number)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 0, said
    assert "Stopped." in said
    kept = partial_bytes(box)
    assert kept > MEBIBYTE
    assert not box.has("loras/ink.safetensors")
    again = process_of(box, "--once")
    _, said = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert (box.models / "loras/ink.safetensors").read_bytes() == content


async def test_a_revoked_key_ends_a_download_that_runs(team: Someone, box: Box) -> None:
    team.register(a_model_file("ink", 12 * MEBIBYTE), "loras/ink.safetensors")
    running = process_of(box, RATE_LIMIT="1MB")
    try:
        await until(lambda: partial_bytes(box) > MEBIBYTE)
        team.delete(f"/credentials/{box.key_id}")
        assert running.stderr is not None
        lines = iter(running.stderr.readline, "")
        assert any("refuses this machine" in line for line in lines)
        await until(lambda: _stands_still(box))
        assert not box.has("loras/ink.safetensors")
    finally:
        running.terminate()
        running.communicate(timeout=30)


def _stands_still(box: Box) -> bool:
    """Whether no byte comes in a time in which half a megabyte would."""
    before = partial_bytes(box)
    time.sleep(0.5)
    return partial_bytes(box) == before


def test_a_pairing_gives_an_agent_its_key(team: Someone, box: Box) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
    environment |= {"MODELYARD_CONFIG": str(box.folder / "profiles.json"), "XDG_STATE_HOME": str(box.folder / "s")}
    environment |= {"MODELYARD_AGENT_CONFIG": str(box.folder / "agent.toml"), "MODELYARD_AGENT_KEEP_FREE": "0"}
    command = [sys.executable, "-m", "modelyard", "--url", box.url, "agent"]
    pairing = subprocess.Popen(
        [*command, "pair"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert pairing.stderr is not None
    code = pairing.stderr.readline().removeprefix("Code: ").strip()
    assert team.post("/desktop/pair/confirm", user_code=code, device_name="box").status_code == 200
    _, said = pairing.communicate(timeout=30)
    assert pairing.returncode == 0, said
    file = box.folder / "agent-keys.json"
    assert "dk-" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    team.register(a_model_file("ink"), "loras/ink.safetensors")
    run = [*command, "run", "--once", "--models-dir", str(box.models)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert box.has("loras/ink.safetensors")
