"""A sync in its own process, which can be traced, killed, or made to fail in system calls."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

from modelyard.wire.agents.manifests import ManifestEntry
from tests.sync.real_machine import RealMachine
from tests.waiting import PATIENCE_SECONDS

REPOSITORY = Path(__file__).parents[2]

# Waits for a line, so that a tracer can be attached before the sync begins.
PROGRAM = """
import json, sys
from pathlib import Path
from modelyard.wire.folders.manifest import FolderFile
from modelyard.wire.agents.manifests import ManifestEntry
from tests.sync.real_machine import ModelStore, RealMachine
from tests.transfer.faulty_server import FaultyServer

models, state, base, agent_id, folder_files, *desired = sys.argv[1:]
server = FaultyServer()
server.base = base
store = ModelStore(server)
for key, files in json.loads(folder_files).items():
    store.folder_files[key] = tuple(FolderFile(*file) for file in files)
machine = RealMachine(Path(models), Path(state), store, agent_id)
print("ready", flush=True)
sys.stdin.readline()
for replica in machine.sync(*map(ManifestEntry.model_validate_json, desired)).values():
    print(replica.model_path, replica.state, replica.origin, replica.reason, sep="|", flush=True)
"""


class SyncProcess:
    """A process that syncs once ``run`` is called. ``under``: a wrapping command; ``added``: environment variables."""

    def __init__(
        self,
        machine: RealMachine,
        desired: Sequence[ManifestEntry],
        under: Sequence[str] = (),
        added: Mapping[str, str] | None = None,
    ) -> None:
        models = [model.model_dump_json() for model in desired]
        files = {
            key: [astuple(file) for file in listed if not isinstance(file, str)]
            for key, listed in machine.store.folder_files.items()
        }
        arguments = [str(machine.models), str(machine.state), machine.store.server.base, machine.agent_id]
        arguments.append(json.dumps(files))
        self.process = subprocess.Popen(
            [*under, sys.executable, "-c", PROGRAM, *arguments, *models],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env=os.environ | (added or {}),
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def run(self) -> dict[str, tuple[str, str, str]]:
        """Start the sync and wait for its end; return state, origin and reason by path."""
        output, _ = self.process.communicate("\n", timeout=PATIENCE_SECONDS)
        lines = (line.split("|", 3) for line in output.splitlines())
        return {path: (state, origin, reason) for path, state, origin, reason in lines}


def build_strace_command(call: str, error: str, when: str = "1+") -> tuple[str, ...]:
    """Build a command under which a system call fails; ``when`` counts its calls in each thread."""
    return (
        "strace",
        "-f",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:error={error}:when={when}",
    )
