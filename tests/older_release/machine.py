"""A machine whose user has one release of modelyard, run as processes."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.running import RunningServer
from tests.server.harness import ApiCaller
from tests.waiting import PATIENCE_SECONDS

_CONFIRM = re.compile(r"with: modelyard (?:machine add|pair confirm) (\S+)")
AGENT_ID = "render-07"
Output = subprocess.CompletedProcess[str]


class Machine:
    """A machine with a home folder and a folder laid out like ComfyUI's; ``python`` runs its release."""

    def __init__(self, folder: Path, python: Path = Path(sys.executable)) -> None:
        self._comfyui = folder / "ComfyUI"
        self.models = self._comfyui / "models"
        self.models.mkdir(parents=True, exist_ok=True)
        self._program = [str(python), "-m", "modelyard"]
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        self._environment |= {"HOME": str(folder), "MODELYARD_AGENT_KEEP_FREE": "0", "PYTHONPATH": ""}
        self._environment |= {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("CONFIG", "STATE", "CACHE")}

    def pair(self, server: RunningServer, owner: ApiCaller) -> None:
        """Get a key for the agent, as a user does: it shows a code, which the owner of the registry confirms."""
        command = [*self._program, "agent", "pair", "--url", server.url]
        pipe = subprocess.PIPE
        with subprocess.Popen(
            command, stdout=pipe, stderr=subprocess.STDOUT, env=self._environment, text=True
        ) as pairing:
            assert pairing.stdout is not None
            shown = ""
            for line in pairing.stdout:
                shown += line
                if found := _CONFIRM.search(line):
                    assert owner.post("/desktop/pair/confirm", user_code=found[1]).status_code == 200
                    break
            shown += pairing.stdout.read()
        assert pairing.returncode == 0, shown

    def reconcile(self) -> Output:
        """Run the agent once: it fetches the manifest, downloads, reports and ends."""
        return self.run("agent", "run", "--once", "--comfyui", str(self._comfyui), "--agent-id", AGENT_ID)

    def run(self, *arguments: str, **environment: str) -> Output:
        """Run a command until it ends."""
        return subprocess.run(
            [*self._program, *arguments],
            env=self._environment | environment,
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE_SECONDS,
            check=False,
        )


def list_states(owner: ApiCaller) -> dict[str, str]:
    """Return what the registry shows of the models of the machine: the state of each by its path."""
    answer = owner.get(f"/agents/{AGENT_ID}/models")
    assert answer.status_code == 200, answer.text
    return {row["model_path"]: row["state"] for row in answer.json()["agent_model_list"]}


def get_machine(owner: ApiCaller) -> dict[str, Any]:
    """Return what the registry shows of the machine."""
    [shown] = owner.get("/agents").json()["agent_list"]
    found: dict[str, Any] = shown
    return found
