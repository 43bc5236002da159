"""Pictures beside models, killed after each file-changing system call: visible ones are complete, none is left."""

import itertools
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.comfyui.layout import build_plain_install
from modelyard.sync.apply.housekeeping import update_journal
from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.placement_journal import PlacementJournal
from modelyard.sync.inventory.scan import MachineState, scan_roots
from modelyard.sync.inventory.state_db import StateFile
from modelyard.sync.previews.apply import remove_preview, write_preview
from modelyard.sync.previews.planner import ReadyModel, plan_previews
from tests.journeys.syscall_killer import SyscallKiller
from tests.server.previews.drawings import make_png

REPOSITORY = Path(__file__).parents[2]
RED, BLUE = "a" * 64, "b" * 64
CONTENTS = {RED: make_png("#ff0000"), BLUE: make_png("#0000ff")}
BEFORE = {"changed": RED, "removed": RED}
AFTER = {"changed": BLUE, "added": RED, "users": RED}

# Waits for a line, so that a tracer can be attached first.
PROGRAM = """
import sys
from pathlib import Path
from tests.journeys.test_previews_survive_kill import AFTER, update_pictures

print("ready", flush=True)
sys.stdin.readline()
update_pictures(Path(sys.argv[1]), AFTER)
"""


def update_pictures(folder: Path, pictures: dict[str, str]) -> None:
    """Bring the pictures beside the models of a machine to these, by the names of the models, as an agent does."""
    models = folder / "models"
    ready = [ReadyModel(models / f"loras/{name}.safetensors", picture) for name, picture in pictures.items()]
    with StateFile(folder / "state.sqlite") as state:
        machine = MachineState("render-07", HashIndex(state), PlacementJournal(state)).for_previews()
        plan = plan_previews(ready, (), scan_roots([build_plain_install(models)], (), machine))
        update_journal(plan.journal_changes, machine, ())
        for removal in plan.remove:
            remove_preview(machine, removal)
        for action in plan.write:
            write_preview(machine, action, CONTENTS[action.picture_sha256])


def create_machine(folder: Path) -> None:
    """Create a machine with three models, two pictures, and a picture of its user."""
    (folder / "models/loras").mkdir(parents=True)
    for name in ("changed", "removed", "added", "users"):
        (folder / f"models/loras/{name}.safetensors").write_bytes(b"model")
    update_pictures(folder, BEFORE)
    (folder / "models/loras/users.png").write_bytes(b"the user's own")


def read_pictures(folder: Path) -> dict[str, bytes]:
    """Return the visible pictures by name."""
    return {file.name: file.read_bytes() for file in (folder / "models/loras").glob("[!.]*.png")}


def run_killed(folder: Path, number: int) -> bool:
    """Update the pictures in a process that is killed after so many system calls; return whether it was."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with SyscallKiller(process.pid, number) as killer:
        process.communicate("\n", timeout=120)
    assert process.returncode == (-signal.SIGKILL if killer.has_killed else 0)
    return killer.has_killed


@pytest.mark.timeout(900)
def test_pictures_killed_after_any_syscall_are_complete_and_next_update_finishes(tmp_path: Path) -> None:
    allowed = {*CONTENTS.values(), b"the user's own"}
    finished = {
        "changed.preview.png": CONTENTS[BLUE],
        "added.preview.png": CONTENTS[RED],
        "users.png": b"the user's own",
    }
    folder = tmp_path / "machine"
    for number in itertools.count(1):
        create_machine(folder)
        has_killed = run_killed(folder, number)
        assert set(read_pictures(folder).values()) <= allowed
        update_pictures(folder, AFTER)
        assert read_pictures(folder) == finished
        update_pictures(folder, {})
        assert read_pictures(folder) == {"users.png": b"the user's own"}
        hidden = [file.name for file in (folder / "models/loras").iterdir() if file.name.startswith(".")]
        assert hidden == []
        shutil.rmtree(folder)
        if not has_killed:
            assert number > 20
            return
