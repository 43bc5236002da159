"""Several agents on one shared folder where locks have no effect."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.sync.real_machine import ModelStore, RealMachine
from tests.sync.sync_process import SyncProcess
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

CONTENTS = [os.urandom(300_000 + number) for number in range(4)]

NO_LOCKS = """
int flock(int descriptor, int operation) { return 0; }
int lockf(int descriptor, int command, long length) { return 0; }
"""


@pytest.fixture
def no_locks(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which every lock is granted to everybody at once."""
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("a C compiler makes the library that grants every lock")
    source, library = tmp_path / "locks.c", tmp_path / "locks.so"
    source.write_text(NO_LOCKS)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library)}


def test_apply_agents_sharing_folder_place_each_file_once_and_only_placer_removes(
    tmp_path: Path, store: ModelStore, no_locks: dict[str, str]
) -> None:
    models = [store.add_model(f"loras/{number}.sft", content) for number, content in enumerate(CONTENTS)]
    right = {f"loras/{number}.sft": content for number, content in enumerate(CONTENTS)}
    for attempt in range(5):
        folder = tmp_path / f"models{attempt}"
        agents = [
            RealMachine(folder, tmp_path / f"state{attempt}-{agent}", store, f"agent-{agent}") for agent in range(3)
        ]
        running = [SyncProcess(agent, models, added=no_locks) for agent in agents]
        for each in running:
            assert each.process.stdin is not None
            each.process.stdin.write("\n")
            each.process.stdin.flush()
        said = [each.process.communicate(timeout=PATIENCE_SECONDS)[0] for each in running]

        assert all(each.count("|ready|") == len(models) for each in said), said
        assert agents[0].read_files() == right
        placed = [row.path.name for agent in agents for row in agent.placements if row.origin == "placed"]
        assert sorted(placed) == sorted(path.removeprefix("loras/") for path in right)

        for agent in agents:
            mine = {f"loras/{row.path.name}" for row in agent.placements if row.origin == "placed"}
            before = agent.read_files().keys()
            agent.sync(has_removal_limit=False)
            assert agent.read_files().keys() == before - mine
