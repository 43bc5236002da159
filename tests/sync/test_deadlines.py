import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.comfyui.layout import build_plain_install
from modelyard.sync.inventory.deadlines import FilesystemNotResponding, StallDeadline
from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.placement_journal import PlacementJournal
from modelyard.sync.inventory.scan import MachineState, ScanOptions, scan_roots
from modelyard.sync.inventory.state_db import StateFile
from modelyard.sync.planning.planner import plan_sync
from tests.sync.factories import build_desired, build_entry, build_policy
from tests.sync.unresponsive_mount import unresponsive_mount

pytestmark = pytest.mark.slow

SHORT = 0.05
# What a file system that answers may take on a machine that is busy with other tests.
PATIENT = 0.7


def test_stall_deadline_finished_call_returns_result() -> None:
    assert StallDeadline().run(Path("x"), lambda _: 42) == 42


def test_stall_deadline_failing_call_raises_its_exception() -> None:
    with pytest.raises(PermissionError):
        StallDeadline().run(Path("x"), lambda _: (_ for _ in ()).throw(PermissionError()))


def test_stall_deadline_call_with_progress_is_not_abandoned() -> None:
    def slow(moved: Callable[[], None]) -> str:
        for _ in range(20):
            threading.Event().wait(PATIENT / 10)
            moved()
        return "done"

    assert StallDeadline(PATIENT).run(Path("x"), slow) == "done"


def test_stall_deadline_stalled_call_is_abandoned_and_not_started_again(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    deadline = StallDeadline(SHORT)
    for _ in range(3):
        with pytest.raises(FilesystemNotResponding):
            deadline.run(pipe, lambda _: pipe.read_text())
    assert [thread.name for thread in threading.enumerate()].count("modelyard-read-pipe") == 1
    # The wait ends when the process that it waits for ends.
    with pipe.open("w"):
        pass


def test_scan_dead_mount_affects_only_its_folder(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for folder in ("loras", "vae"):
        (models / folder).mkdir(parents=True)
    asked = build_entry("loras/ink.pt"), build_entry("vae/x.pt")
    with StateFile(tmp_path / "state.sqlite") as state, unresponsive_mount(models / "loras"):
        watch = ScanOptions(deadline=StallDeadline(PATIENT))
        inventory = scan_roots(
            [build_plain_install(models)],
            build_desired(*asked).models,
            MachineState("a", HashIndex(state), PlacementJournal(state)),
            watch,
        )
    plan = plan_sync(build_desired(*asked), inventory, build_policy())
    assert [fetch.desired.name for fetch in plan.fetch] == ["x.pt"]
    assert [refuse.reason for refuse in plan.blocked] == [
        f'The file system of "{models}/loras" does not respond. Check that its server is running.'
    ]


def test_scan_link_into_dead_mount_affects_only_its_model(tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "loras").mkdir(parents=True)
    (tmp_path / "nas").mkdir()
    (models / "loras/ink.pt").symlink_to(tmp_path / "nas/ink.pt")
    asked = build_entry("loras/ink.pt"), build_entry("loras/x.pt")
    with StateFile(tmp_path / "state.sqlite") as state, unresponsive_mount(tmp_path / "nas"):
        watch = ScanOptions(deadline=StallDeadline(PATIENT))
        inventory = scan_roots(
            [build_plain_install(models)],
            build_desired(*asked).models,
            MachineState("a", HashIndex(state), PlacementJournal(state)),
            watch,
        )
    plan = plan_sync(build_desired(*asked), inventory, build_policy())
    assert [fetch.desired.name for fetch in plan.fetch] == ["x.pt"]
    assert "its file system does not respond" in plan.blocked[0].reason
