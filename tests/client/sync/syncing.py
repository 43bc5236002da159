"""A sync in a process of its own, which can be traced, killed and counted on to fail as a kernel says."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelyard.wire.agents import WantedModel
from tests.client.sync.real import RealMachine

REPOSITORY = Path(__file__).parents[3]

# Waits for a line, so that a tracer can be there before it begins.
PROGRAM = """
import sys
from pathlib import Path
from modelyard.wire.agents import WantedModel
from tests.client.sync.real import RealMachine, Store
from tests.transfer.misbehaving import MisbehavingServer

models, state, base, agent_id, *wanted = sys.argv[1:]
server = MisbehavingServer()
server.base = base
machine = RealMachine(Path(models), Path(state), Store(server), agent_id)
print("here", flush=True)
sys.stdin.readline()
for standing in machine.sync(*map(WantedModel.model_validate_json, wanted)).values():
    print(standing.model_path, standing.state, standing.done, standing.reason, sep="|", flush=True)
"""


class Syncing:
    """Begins when it is told to. ``under``: a program that runs it, ``added``: what is added to its environment."""

    def __init__(
        self,
        machine: RealMachine,
        wanted: Sequence[WantedModel],
        under: Sequence[str] = (),
        added: Mapping[str, str] | None = None,
    ) -> None:
        models = [model.model_dump_json() for model in wanted]
        place = [str(machine.models), str(machine.state), machine.store.server.base, machine.agent_id]
        self.process = subprocess.Popen(
            [*under, sys.executable, "-c", PROGRAM, *place, *models],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env=os.environ | (added or {}),
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "here\n"

    def go(self) -> dict[str, tuple[str, str, str]]:
        """Let it begin, and wait for its end; state, how and reason of each path."""
        said, _ = self.process.communicate("\n", timeout=60)
        lines = (line.split("|", 3) for line in said.splitlines())
        return {path: (state, done, reason) for path, state, done, reason in lines}


def failing(call: str, error: str, when: str = "1+") -> tuple[str, ...]:
    """What makes a system call fail: ``when`` counts its calls in each thread."""
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
