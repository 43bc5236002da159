"""A sync that is killed after any of its steps: no file that is not whole, and none that nobody knows."""

import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.client.sync.holding.roots import WORK_FOLDER
from tests.client.sync.real import RealMachine, Store, sha256
from tests.client.sync.syncing import Syncing
from tests.journeys.stepping import Stepping
from tests.transfer.misbehaving import MisbehavingServer

OLD, NEW, INK, GONE, MINE = (os.urandom(60_000 + number) for number in range(5))


@contextmanager
def watched(models: Path, right: set[str]) -> Iterator[None]:
    """Read every visible file again and again: each is whole and one of those that may be there."""
    wrong: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.002):
            for path in models.rglob("*.sft"):
                if WORK_FOLDER in path.parts:
                    continue
                try:
                    found = hashlib.sha256(path.read_bytes()).hexdigest()
                except FileNotFoundError:
                    continue
                if found not in right:
                    wrong.append(f"{path} {found}")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    assert wrong == []


@pytest.fixture
def store() -> Iterator[Store]:
    server = MisbehavingServer()
    yield Store(server)
    server.close()


class Studio:
    """A machine before a sync that has everything to do, put back to that state for each kill."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._before = RealMachine(folder / "before" / "models", folder / "before" / "state", store)
        self._before.put("loras/deep/mine.sft", MINE)
        self._before.sync(store.model("loras/deep/changed.sft", OLD), store.model("loras/deep/gone.sft", GONE))
        self._folder = folder
        self._store = store
        self.wanted = (
            store.model("loras/deep/changed.sft", NEW),
            store.model("loras/deep/ink.sft", INK),
            store.model("loras/deep/adopted.sft", MINE),
        )

    @contextmanager
    def again(self, *, on_two_disks: bool) -> Iterator[RealMachine]:
        """The machine as it was; the files' folder is on another file system than the root if that is asked."""
        models, state = self._folder / "comfy" / "models", self._folder / "comfy" / "state"
        machine = RealMachine(models, state, self._store)
        deep = models / "loras" / "deep"
        deep.mkdir(parents=True)
        try:
            if on_two_disks:
                subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", deep], check=True)
            shutil.copytree(self._before.models, models, dirs_exist_ok=True)
            self._copy_journal(machine)
            yield machine
        finally:
            if on_two_disks:
                subprocess.run(["umount", "--lazy", deep], check=True)
            shutil.rmtree(self._folder / "comfy")

    def _copy_journal(self, machine: RealMachine) -> None:
        """Its rows name absolute paths."""
        with self._before.opened() as old, machine.opened() as new:
            for row in old.journal.entries():
                path = machine.models / row.path.relative_to(self._before.models)
                new.journal.confirm(replace(row, path=path, device=0))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("on_two_disks", [False, True])
def test_a_sync_killed_after_any_step_leaves_whole_files_and_is_finished_by_the_next(
    store: Store,
    tmp_path: Path,
    on_two_disks: bool,
) -> None:
    studio = Studio(tmp_path, store)
    right = {sha256(content) for content in (OLD, NEW, INK, GONE, MINE)}
    for number in itertools.count(1):
        with studio.again(on_two_disks=on_two_disks) as machine:
            syncing = Syncing(machine, studio.wanted)
            with watched(machine.models, right), Stepping(syncing.process.pid, number) as stepping:
                said = syncing.go()
            assert stepping.has_killed == (syncing.process.returncode == -signal.SIGKILL)

            # It is replaced and never missing, wherever its folder is.
            assert (machine.models / "loras/deep/changed.sft").is_file(), (number, stepping.steps[-3:])

            after = machine.sync(*studio.wanted)

            step = (number, stepping.steps[-3:])
            assert {standing.state for standing in after.values()} <= {"ready", None}, (step, after)
            assert machine.visible() == {
                "loras/deep/mine.sft": MINE,
                "loras/deep/changed.sft": NEW,
                "loras/deep/ink.sft": INK,
                "loras/deep/adopted.sft": MINE,
            }, step
            assert {(row.path.name, row.origin, row.is_done) for row in machine.rows} == {
                ("changed.sft", "placed", True),
                ("ink.sft", "placed", True),
                ("adopted.sft", "placed", True),
            }, step
            with machine.opened() as memory:
                assert {path.name for path in memory.journal.removed_lately()} == {"gone.sft"}, step
        if not stepping.has_killed:
            assert [state for state, *_ in said.values()].count("ready") == 3
            break
    assert number > 30
