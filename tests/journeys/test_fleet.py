"""Agents as people run them: processes on machines of their own, killed at any moment."""

import hashlib
import json
import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.journeys.program import MODELYARD, Program
from tests.journeys.waiting import wait_for
from tests.running import RunningServer
from tests.server.world import Someone

MEBIBYTE = 1024 * 1024
KILLS = int(os.environ.get("MODELYARD_TEST_KILLS", "12"))
MOST_RESIDENT = 150 * MEBIBYTE


class Machine:
    """A machine with a key of its own and a folder laid out like ComfyUI's."""

    def __init__(self, folder: Path, url: str, key: str, **settings: str) -> None:
        self.models = folder / "ComfyUI" / "models"
        self.models.mkdir(parents=True)
        self.log = folder / "agent.log"
        ours = {"URL": url, "KEY": key, "CONFIG": str(folder / "agent.toml"), "KEEP_FREE": "0"} | settings
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        self._environment |= {f"MODELYARD_AGENT_{name}": value for name, value in ours.items()}
        self._environment["XDG_STATE_HOME"] = str(folder / "state")
        self._name = folder.name

    def start(self) -> "subprocess.Popen[bytes]":
        command: list[str | Path] = [
            MODELYARD,
            "agent",
            "run",
            "--comfyui",
            str(self.models.parent),
            "--agent-id",
            self._name,
        ]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment)

    def has(self, path: str, content: bytes) -> bool:
        file = self.models / path
        return file.is_file() and file.read_bytes() == content


def new_machine(team: Someone, folder: Path, url: str, **settings: str) -> Machine:
    made: dict[str, Any] = team.post("/credentials", kind="agent", display_name=folder.name).json()
    return Machine(folder, url, made["raw_key"], **settings)


def resident_bytes(process: "subprocess.Popen[bytes]") -> int:
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_is_pushed_arrives_on_every_machine_and_what_is_disabled_leaves(
    tmp_path: Path, registry: RunningServer, team: Someone, modelyard: Program, new_file: Callable[..., Path]
) -> None:
    machines = [new_machine(team, tmp_path / name, registry.url) for name in ("render-01", "render-02")]
    agents = [machine.start() for machine in machines]
    try:
        file = new_file(12 * MEBIBYTE)
        content = file.read_bytes()
        assert modelyard.run("push", file).code == 0
        wait_for(lambda: all(machine.has("loras/ink.safetensors", content) for machine in machines))
        wait_for(lambda: modelyard.ask("show", "ink")["agents_ready"] == 2)
        assert modelyard.run("disable", "ink").code == 0
        wait_for(lambda: not any((machine.models / "loras/ink.safetensors").exists() for machine in machines))
        assert modelyard.run("enable", "ink").code == 0
        wait_for(lambda: all(machine.has("loras/ink.safetensors", content) for machine in machines))
        assert all("from trash" in machine.log.read_text() for machine in machines)
        assert max(map(resident_bytes, agents)) <= MOST_RESIDENT
    finally:
        for agent in agents:
            agent.send_signal(signal.SIGTERM)
    assert [agent.wait(30) for agent in agents] == [0, 0]


class Poller:
    """Looks every few milliseconds at every file that a ComfyUI can see, and keeps the digests."""

    def __init__(self, models: Path) -> None:
        self.digests: set[str] = set()
        self._models = models
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.02):
            for file in self._models.rglob("*.safetensors"):
                if ".modelyard" not in file.parts:
                    try:
                        self.digests.add(hashlib.sha256(file.read_bytes()).hexdigest())
                    except FileNotFoundError:
                        continue


def test_an_agent_that_is_killed_at_any_moment_shows_whole_files_only(
    tmp_path: Path, registry: RunningServer, team: Someone, modelyard: Program, new_file: Callable[..., Path]
) -> None:
    machine = new_machine(team, tmp_path / "render-03", registry.url, RATE_LIMIT="12MB")
    files = [new_file(size * MEBIBYTE, f"{size}.safetensors") for size in (3, 5, 7)]
    right = {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    ids = [json.loads(modelyard.run("push", file, "--json").out)["files"][0]["model"]["id"] for file in files]
    poller, chance = Poller(machine.models), random.Random(4)
    try:
        for turn in range(KILLS):
            agent = machine.start()
            threading.Event().wait(0.3 + chance.random() * 1.2)
            agent.kill()
            agent.wait(10)
            status = "disabled" if turn % 2 else "active"
            team.put(f"/models/{chance.choice(ids)}", model_status=status)
        for model_id in ids:
            team.put(f"/models/{model_id}", model_status="active")
        agent = machine.start()
        wait_for(lambda: all(machine.has(f"loras/{file.name}", file.read_bytes()) for file in files))
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(30) == 0
    finally:
        poller.stop()
    assert poller.digests <= right
    left = [path.name for path in (machine.models / ".modelyard").iterdir() if path.name != "trash"]
    assert left == []
