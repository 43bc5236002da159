"""A sync that is killed after any of its steps: no file that is not whole, and none that nobody knows."""

import hashlib
import itertools
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelyard.client.sync.roots import WORK_FOLDER
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


@pytest.mark.timeout(900)
def test_a_sync_killed_after_any_step_leaves_whole_files_and_is_finished_by_the_next(
    store: Store, tmp_path: Path
) -> None:
    before = RealMachine(tmp_path / "before" / "models", tmp_path / "before" / "state", store)
    before.put("loras/mine.sft", MINE)
    before.sync(store.model("loras/changed.sft", OLD), store.model("loras/gone.sft", GONE))
    wanted = (
        store.model("loras/changed.sft", NEW),
        store.model("loras/ink.sft", INK),
        store.model("loras/adopted.sft", MINE),
    )
    right = {sha256(content) for content in (OLD, NEW, INK, GONE, MINE)}

    for number in itertools.count(1):
        machine = RealMachine(tmp_path / "comfy" / "models", tmp_path / "state", store)
        # The rows of the journal name absolute paths, so the same ones are used each time.
        _copy(before, machine, tmp_path)
        syncing = Syncing(machine, wanted)
        with watched(machine.models, right), Stepping(syncing.process.pid, number) as stepping:
            said = syncing.go()
        assert stepping.has_killed == (syncing.process.returncode == -signal.SIGKILL)

        after = machine.sync(*wanted)

        assert {standing.state for standing in after.values()} <= {"ready", None}, (number, stepping.steps[-3:])
        assert machine.visible() == {
            "loras/mine.sft": MINE,
            "loras/changed.sft": NEW,
            "loras/ink.sft": INK,
            "loras/adopted.sft": MINE,
        }, (number, stepping.steps[-3:])
        assert {(row.path.name, row.origin, row.is_done) for row in machine.rows} == {
            ("changed.sft", "placed", True),
            ("ink.sft", "placed", True),
            ("adopted.sft", "placed", True),
        }, (number, stepping.steps[-3:])
        if not stepping.has_killed:
            assert [state for state, *_ in said.values()].count("ready") == 3
            break
    assert number > 30


def _copy(before: RealMachine, machine: RealMachine, tmp_path: Path) -> None:
    for folder in (machine.models, tmp_path / "state"):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(before.models, machine.models)
    (tmp_path / "state").mkdir()
    with before.opened() as old, machine.opened() as new:
        for row in old.journal.entries():
            path = machine.models / row.path.relative_to(before.models)
            new.journal.confirm(type(row)(path, row.sha256, row.size, row.model_id, row.origin))
