"""Syncs of folder models killed after file-changing system calls: each folder is whole, and the next sync ends.

`make check` kills after each kind of step and after a sample of all calls; `make kills` after every call.
"""

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.journeys.syscall_killer import SyscallKiller
from tests.sync.real_machine import ModelStore, RealMachine
from tests.sync.sync_process import SyncProcess
from tests.transfer.faulty_server import FaultyServer

# After how many calls, about, the sync is killed; `make kills` has 200, more than there are calls.
KILLS = int(os.environ.get("MODELYARD_TEST_KILLS", "8"))

WEIGHTS = os.urandom(50_000)
OLD = {"a.json": b"{}", "unet/b.sft": WEIGHTS}
NEW = {"a.json": b"{ }", "unet/b.sft": WEIGHTS}
DAMAGED = {"unet/b.sft": WEIGHTS}
# What each folder may be at any kill; None: it is missing.
ALLOWED: Mapping[str, tuple[dict[str, bytes] | None, ...]] = {
    "diffusers/changed": (OLD, NEW),
    "diffusers/repaired": (DAMAGED, OLD),
    "diffusers/added": (None, NEW),
    "diffusers/gone": (OLD, None),
}

# A pattern of the call that makes each kind of step.
STEPS = {
    "record": r"sqlite-wal>",
    "remove": r'"gone", .*\.folder", RENAME_NOREPLACE',
    "stage": r'\.folder", 0777',
    "copy-kept-file": r"^pwrite64 .*\.folder/unet/b\.sft>",
    "move-downloaded-file": r'\.part", .*\.folder>',
    "place": r'"added", RENAME_NOREPLACE',
    "exchange": r"RENAME_EXCHANGE",
    "move-old-folder-to-trash": r'\.folder", .*/trash>',
}


@pytest.fixture
def store() -> Iterator[ModelStore]:
    server = FaultyServer()
    yield ModelStore(server)
    server.close()


def read_folder(folder: Path) -> dict[str, bytes] | None:
    if not folder.exists():
        return None
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


class MachineBeforeSync:
    """A machine whose next sync replaces, repairs, adds and removes a folder; restored to that state for each kill."""

    def __init__(self, folder: Path, store: ModelStore) -> None:
        self._template = RealMachine(folder / "before" / "models", folder / "before" / "state", store)
        self._template.write_user_file("diffusers/mine/mine.sft", b"mine")
        placed = [store.add_folder(f"diffusers/{name}", OLD) for name in ("changed", "repaired", "gone")]
        self._template.sync(*placed)
        (self._template.models / "diffusers/repaired/a.json").unlink()
        self._folder = folder
        self._store = store
        self.desired = (
            store.add_folder("diffusers/changed", NEW, version=2),
            placed[1],
            store.add_folder("diffusers/added", NEW),
        )

    @contextmanager
    def restored(self) -> Iterator[RealMachine]:
        """Yield a copy of the machine before its sync."""
        machine = RealMachine(self._folder / "comfy" / "models", self._folder / "comfy" / "state", self._store)
        try:
            shutil.copytree(self._template.models, machine.models, dirs_exist_ok=True)
            with self._template.open_state() as old, machine.open_state() as new:
                for row in old.journal.list_placements():
                    path = machine.models / row.path.relative_to(self._template.models)
                    files = old.journal.folder_lists.find(row.sha256)
                    assert files is not None
                    new.journal.folder_lists.save(row.sha256, files)
                    new.journal.confirm(replace(row, path=path, inode=path.stat().st_ino))
            yield machine
        finally:
            shutil.rmtree(self._folder / "comfy")


@pytest.fixture
def machine_before(store: ModelStore, tmp_path: Path) -> MachineBeforeSync:
    return MachineBeforeSync(tmp_path, store)


def sync_twice_with_kill(machine_before: MachineBeforeSync, kill_after: int, since: str = "") -> SyscallKiller:
    """Kill a sync and check the folders; sync again, and check that everything is in place."""
    with machine_before.restored() as machine:
        sync_process = SyncProcess(machine, machine_before.desired)
        with SyscallKiller(sync_process.process.pid, kill_after, since) as killer:
            states = sync_process.run()
        assert killer.has_killed == (sync_process.process.returncode == -signal.SIGKILL)
        context = (kill_after, killer.syscalls[-3:])

        for path, allowed in ALLOWED.items():
            assert read_folder(machine.models / path) in allowed, (context, path)

        after = machine.sync(*machine_before.desired)

        assert {progress.state for progress in after.values()} <= {"ready", None}, (context, after)
        for path, allowed in ALLOWED.items():
            assert read_folder(machine.models / path) == allowed[1], (context, path)
        assert read_folder(machine.models / "diffusers/mine") == {"mine.sft": b"mine"}
        assert {(row.path.name, row.origin, row.is_confirmed) for row in machine.placements} == {
            (name, "placed", True) for name in ("changed", "repaired", "added")
        }, context
    if not killer.has_killed:
        assert [state for state, *_ in states.values()].count("ready") == len(machine_before.desired)
    return killer


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_folder_sync_killed_after_sampled_syscalls_leaves_only_whole_folders_and_next_sync_finishes(
    machine_before: MachineBeforeSync,
) -> None:
    count = sync_twice_with_kill(machine_before, sys.maxsize).count
    assert count > 30
    for number in itertools.count(1, max(1, count // KILLS)):
        if not sync_twice_with_kill(machine_before, number).has_killed:
            break


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_folder_sync_killed_after_step_leaves_only_whole_folders_and_next_sync_finishes(
    machine_before: MachineBeforeSync, step: str
) -> None:
    assert sync_twice_with_kill(machine_before, 1, STEPS[step]).has_killed
