"""Syncs killed after every file-changing system call: visible files are complete, and the next sync finishes."""

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

from modelyard.sync.inventory.roots import WORK_FOLDER
from tests.journeys.syscall_killer import SyscallKiller
from tests.sync.real_machine import ModelStore, RealMachine, hash_bytes
from tests.sync.sync_process import SyncProcess
from tests.transfer.faulty_server import FaultyServer

OLD, NEW, ADDED, REMOVED, USER_FILE = (os.urandom(60_000 + number) for number in range(5))


@contextmanager
def checking_visible_files(models: Path, allowed: set[str]) -> Iterator[None]:
    """Hash every visible file again and again until the block ends; fail if a hash is not in ``allowed``."""
    wrong: list[str] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.002):
            for path in models.rglob("*.sft"):
                if WORK_FOLDER in path.parts:
                    continue
                try:
                    digest = hashlib.sha256(path.read_bytes()).hexdigest()
                except FileNotFoundError:
                    continue
                if digest not in allowed:
                    wrong.append(f"{path} {digest}")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
    assert wrong == []


@pytest.fixture
def store() -> Iterator[ModelStore]:
    server = FaultyServer()
    yield ModelStore(server)
    server.close()


class MachineBeforeSync:
    """A machine whose next sync must download, replace, adopt and remove; restored to that state for each kill."""

    def __init__(self, folder: Path, store: ModelStore) -> None:
        self._template = RealMachine(folder / "before" / "models", folder / "before" / "state", store)
        self._template.write_user_file("loras/deep/mine.sft", USER_FILE)
        self._template.sync(
            store.add_model("loras/deep/changed.sft", OLD), store.add_model("loras/deep/gone.sft", REMOVED)
        )
        self._folder = folder
        self._store = store
        self.desired = (
            store.add_model("loras/deep/changed.sft", NEW),
            store.add_model("loras/deep/ink.sft", ADDED),
            store.add_model("loras/deep/adopted.sft", USER_FILE),
        )

    @contextmanager
    def restored(self, *, on_two_disks: bool) -> Iterator[RealMachine]:
        """Yield a copy of the machine before its sync; with ``on_two_disks``, its loras folder is a mounted tmpfs."""
        models, state = self._folder / "comfy" / "models", self._folder / "comfy" / "state"
        machine = RealMachine(models, state, self._store)
        loras_folder = models / "loras" / "deep"
        loras_folder.mkdir(parents=True)
        try:
            if on_two_disks:
                subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", loras_folder], check=True)
            shutil.copytree(self._template.models, models, dirs_exist_ok=True)
            self._copy_journal(machine)
            yield machine
        finally:
            if on_two_disks:
                subprocess.run(["umount", "--lazy", loras_folder], check=True)
            shutil.rmtree(self._folder / "comfy")

    def _copy_journal(self, machine: RealMachine) -> None:
        """Copy the placement journal, with its absolute paths changed to the copied machine's."""
        with self._template.open_state() as old, machine.open_state() as new:
            for row in old.journal.list_placements():
                path = machine.models / row.path.relative_to(self._template.models)
                new.journal.confirm(replace(row, path=path, device=0))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("on_two_disks", [False, True])
def test_sync_killed_after_any_syscall_leaves_only_complete_files_and_next_sync_finishes(
    store: ModelStore,
    tmp_path: Path,
    on_two_disks: bool,
) -> None:
    machine_before = MachineBeforeSync(tmp_path, store)
    allowed = {hash_bytes(content) for content in (OLD, NEW, ADDED, REMOVED, USER_FILE)}
    for number in itertools.count(1):
        with machine_before.restored(on_two_disks=on_two_disks) as machine:
            sync_process = SyncProcess(machine, machine_before.desired)
            with (
                checking_visible_files(machine.models, allowed),
                SyscallKiller(sync_process.process.pid, number) as killer,
            ):
                states = sync_process.run()
            assert killer.has_killed == (sync_process.process.returncode == -signal.SIGKILL)

            # The file is replaced, and never missing at any kill, also on another file system.
            assert (machine.models / "loras/deep/changed.sft").is_file(), (number, killer.syscalls[-3:])

            after = machine.sync(*machine_before.desired)

            context = (number, killer.syscalls[-3:])
            assert {progress.state for progress in after.values()} <= {"ready", None}, (context, after)
            assert machine.read_files() == {
                "loras/deep/mine.sft": USER_FILE,
                "loras/deep/changed.sft": NEW,
                "loras/deep/ink.sft": ADDED,
                "loras/deep/adopted.sft": USER_FILE,
            }, context
            assert {(row.path.name, row.origin, row.is_confirmed) for row in machine.placements} == {
                ("changed.sft", "placed", True),
                ("ink.sft", "placed", True),
                ("adopted.sft", "placed", True),
            }, context
            with machine.open_state() as state_db:
                assert {path.name for path in state_db.journal.list_recent_removals()} == {"gone.sft"}, context
        if not killer.has_killed:
            assert [state for state, *_ in states.values()].count("ready") == 3
            break
    assert number > 30
