import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.comfyui.layout import build_plain_install
from modelyard.sync.inventory.deadlines import FilesystemNotResponding, Result, StallDeadline, _Call
from modelyard.sync.inventory.file_hashes import ScanOptions
from modelyard.sync.inventory.hash_index import HashIndex
from modelyard.sync.inventory.placement_journal import PlacementJournal
from modelyard.sync.inventory.scan import MachineState, scan_roots
from modelyard.sync.inventory.state_db import StateFile
from modelyard.sync.planning.planner import plan_sync
from tests.sync.factories import build_desired, build_entry, build_policy
from tests.sync.unresponsive_mount import unresponsive_mount
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

SHORT = 0.05


class UnevenDeadline(StallDeadline):
    """A deadline that is short below the given path alone."""

    def __init__(self, dead: Path) -> None:
        super().__init__(PATIENCE_SECONDS)
        self._dead = dead
        self._short = StallDeadline(SHORT)

    def run(self, path: Path, work: Callable[[Callable[[], None]], Result]) -> Result:
        if path.is_relative_to(self._dead):
            return self._short.run(path, work)
        return super().run(path, work)


def test_stall_deadline_finished_call_returns_result() -> None:
    assert StallDeadline().run(Path("x"), lambda _: 42) == 42


def test_stall_deadline_failing_call_raises_its_exception() -> None:
    with pytest.raises(PermissionError):
        StallDeadline().run(Path("x"), lambda _: (_ for _ in ()).throw(PermissionError()))


def test_stall_deadline_call_with_progress_is_not_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call makes progress before each of three checks, and ends after them."""
    callbacks, may_end = queue.SimpleQueue[Callable[[], None]](), threading.Event()
    has_progressed, checks = _Call.has_progressed, list[bool]()

    def slow(moved: Callable[[], None]) -> str:
        for _ in range(3):
            callbacks.put(moved)
        assert may_end.wait(PATIENCE_SECONDS)
        return "done"

    def move_and_check(call: _Call[str]) -> bool:
        if len(checks) < 3:
            callbacks.get(timeout=PATIENCE_SECONDS)()
        checks.append(len(checks) >= 3 or has_progressed(call))
        if len(checks) == 3:
            may_end.set()
        return checks[-1]

    monkeypatch.setattr(_Call, "has_progressed", move_and_check)
    assert StallDeadline(SHORT).run(Path("x"), slow) == "done"
    assert checks[:3] == [True] * 3


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
        watch = ScanOptions(deadline=UnevenDeadline(models / "loras"))
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
        watch = ScanOptions(deadline=UnevenDeadline(models / "loras/ink.pt"))
        inventory = scan_roots(
            [build_plain_install(models)],
            build_desired(*asked).models,
            MachineState("a", HashIndex(state), PlacementJournal(state)),
            watch,
        )
    plan = plan_sync(build_desired(*asked), inventory, build_policy())
    assert [fetch.desired.name for fetch in plan.fetch] == ["x.pt"]
    assert "its file system does not respond" in plan.blocked[0].reason
