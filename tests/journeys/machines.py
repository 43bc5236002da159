"""Machines with agents: as people run them, or life after life to be killed; and somebody who looks at their files."""

import hashlib
import os
import subprocess
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.journeys.nursery import Nursery
from tests.journeys.program import MODELYARD
from tests.server.world import Someone

# What ``agent run`` reads when it begins.
_AGENT_MODULES = ("modelyard.cli.main", "modelyard.cli.agent", "modelyard.agent.start")


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
        self.arguments = ("agent", "run", "--comfyui", str(self.models.parent), "--agent-id", folder.name)

    def start(self) -> "subprocess.Popen[bytes]":
        command = [str(MODELYARD), *self.arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment)

    def nursery(self) -> Nursery:
        """Where lives of its agent come from."""
        return Nursery(_AGENT_MODULES, self._environment)

    def has(self, path: str, content: bytes) -> bool:
        file = self.models / path
        return file.is_file() and file.read_bytes() == content

    def unfinished(self) -> list[str]:
        """What lies in its work folder beside the trash."""
        work = self.models / ".modelyard"
        return [path.name for path in work.iterdir() if path.name != "trash"] if work.is_dir() else []


def new_machine(team: Someone, folder: Path, url: str, **settings: str) -> Machine:
    made: dict[str, Any] = team.post("/credentials", kind="agent", display_name=folder.name).json()
    return Machine(folder, url, made["raw_key"], **settings)


def resident_bytes(process: "subprocess.Popen[bytes]") -> int:
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Poller:
    """Looks every 20 ms at every file that a ComfyUI can see, and keeps what it saw.

    ``digests`` counts how often each content was seen, ``gaps`` how often a file of ``steady`` that had been there once
    was not.
    """

    def __init__(self, models: Path, steady: tuple[str, ...] = ()) -> None:
        self.digests = Counter[str]()
        self.polls = 0
        self.gaps = Counter[str]()
        self._models = models
        self._steady = steady
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def saw(self, content: bytes) -> bool:
        return hashlib.sha256(content).hexdigest() in self.digests

    def _run(self) -> None:
        arrived = set[str]()
        while not self._stopped.wait(0.02):
            self.polls += 1
            for path in self._steady:
                is_there = (self._models / path).exists()
                self.gaps[path] += path in arrived and not is_there
                arrived |= {path} if is_there else set()
            for file in self._models.rglob("*.safetensors"):
                if ".modelyard" not in file.parts:
                    self._look(file)

    def _look(self, file: Path) -> None:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return
        self.digests[hashlib.sha256(content).hexdigest()] += 1
