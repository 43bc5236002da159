"""Folder models on disks that fail, and changed by users and programs while they are replaced."""

import asyncio
import ctypes
import errno
import os
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.sync.apply.executor import Executor
from modelyard.sync.apply.files import rename
from modelyard.sync.apply.files.dir_handles import OpenFolder
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.planning.actions import Plan
from tests.sync.real_machine import DEFAULT_OPTIONS, ModelStore, RealMachine
from tests.waiting import PATIENCE_SECONDS

PATH = "diffusers/flux"
WEIGHTS = os.urandom(100_000)
OLD = {"a.json": b"{}", "unet/b.sft": WEIGHTS}
NEW = OLD | {"a.json": b"{ }", "vae/c.sft": b"vae"}
_EXCHANGE = 2
_trash_name = re.compile(rb"[0-9a-f]{64}\.[0-9]+")


def get_expected_files(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{PATH}/{name}": content for name, content in files.items()}


def is_placed(machine: RealMachine) -> bool:
    """Return whether the journal says that the agent placed the only folder."""
    [row] = machine.placements
    return row.is_confirmed and row.origin == "placed"


def list_notes(machine: RealMachine, plan: Plan) -> tuple[str, ...]:
    """Apply a plan without downloads and return the executor's notes."""

    async def apply(state: MachineState) -> tuple[str, ...]:
        async with Executor(state, machine.store.get_download_url, DEFAULT_OPTIONS) as executor:
            await executor.submit(plan, DEFAULT_OPTIONS)
            await executor.wait_until_idle()
            return executor.notes

    with machine.open_state() as state:
        return asyncio.run(apply(state))


def list_leftovers(machine: RealMachine) -> list[Path]:
    """Return the folders with temporary names in the work folder."""
    return list(machine.work.glob("*.*.*.folder"))


def fail_renames(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int, bytes, bytes], bool]) -> None:
    """Make the system call ``renameat2`` fail with EIO if ``fails(flag, name, new_name)``; others are done."""
    rename_in_system = ctypes.CDLL(None, use_errno=True).renameat2

    def call(folder: int, name: bytes, target: int, new_name: bytes, flag: int) -> int:
        if fails(flag, name, new_name):
            ctypes.set_errno(errno.EIO)
            return -1
        return int(rename_in_system(folder, name, target, new_name, flag))

    monkeypatch.setattr(rename, "_renameat2", call)


def test_replace_that_cannot_be_undone_keeps_the_users_file(
    machine: RealMachine, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    new = store.add_folder(PATH, NEW, version=2)
    exchanges: list[bytes] = []

    def fails(flag: int, name: bytes, _: bytes) -> bool:
        if flag == _EXCHANGE:
            exchanges.append(name)
            if len(exchanges) == 1:
                machine.write_user_file(f"{PATH}/mine.txt", b"mine")
        return len(exchanges) > 1

    fail_renames(monkeypatch, fails)
    assert machine.sync(new)[PATH].state == "failed"
    monkeypatch.undo()

    assert len(exchanges) == 2
    assert machine.read_files() == get_expected_files(NEW)
    assert machine.sync(new)[PATH].state == "ready"
    assert is_placed(machine)
    # Neither another version nor time deletes it.
    machine.sync(store.add_folder(PATH, OLD, version=3))
    machine.sync(new)
    [kept] = machine.work.rglob("mine.txt")
    assert (kept.parent.parent, kept.read_bytes()) == (machine.work, b"mine")
    [note] = list_notes(machine, machine.plan(new))
    assert str(kept.parent) in note


def test_remove_that_cannot_be_undone_keeps_the_users_file(
    machine: RealMachine, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    renames: list[bytes] = []

    def fails(flag: int, name: bytes, _: bytes) -> bool:
        renames.append(name)
        if len(renames) == 1:
            machine.write_user_file(f"{PATH}/mine.txt", b"mine")
        return len(renames) > 1

    fail_renames(monkeypatch, fails)
    machine.sync()
    monkeypatch.undo()
    machine.sync()

    assert machine.read_files() == {}
    [kept] = machine.work.rglob("mine.txt")
    assert kept.read_bytes() == b"mine"
    assert kept.parent.parent == machine.work


def test_folder_left_by_a_kill_becomes_trash(machine: RealMachine, store: ModelStore) -> None:
    entry = store.add_folder(PATH, OLD)
    machine.sync(entry)
    sha256 = entry.file_hash.removeprefix("sha256:")
    left = machine.work / f"{sha256}.{machine.agent_id}.{'a' * 32}.folder"
    shutil.copytree(machine.models / PATH, left)

    machine.sync(entry)

    assert not left.exists()
    [in_trash] = (machine.work / "trash").iterdir()
    assert (in_trash / "unet/b.sft").read_bytes() == WEIGHTS


@pytest.mark.parametrize("is_unread", [False, True], ids=["next time", "after a time without its disk"])
def test_old_folder_whose_move_to_the_trash_failed_is_moved_later(
    machine: RealMachine, store: ModelStore, monkeypatch: pytest.MonkeyPatch, is_unread: bool
) -> None:
    machine.sync(store.add_folder(PATH, NEW))
    new = store.add_folder(PATH, OLD, version=2)  # whose list lacks a file
    fail_renames(
        monkeypatch, lambda flag, _, new_name: flag != _EXCHANGE and _trash_name.fullmatch(new_name) is not None
    )
    assert machine.sync(new)[PATH].state == "ready"
    assert len(list_leftovers(machine)) == 1
    monkeypatch.undo()
    if is_unread:
        away = machine.models.rename(machine.models.with_name("away"))
        machine.models.write_bytes(b"")
        machine.sync(new)
        machine.models.unlink()
        away.rename(machine.models)

    assert list_notes(machine, machine.plan(new)) == ()

    assert list_leftovers(machine) == []
    [in_trash] = (machine.work / "trash").iterdir()
    assert (in_trash / "vae/c.sft").read_bytes() == b"vae"


def test_cleaning_beside_a_replacement_leaves_its_folder_alone(
    machine: RealMachine, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    plan = machine.plan(store.add_folder(PATH, NEW, version=2))
    is_cleaning, is_exchanging, is_cleaned = threading.Event(), threading.Event(), threading.Event()
    cleaners: list[int] = []
    list_names = OpenFolder.list_names

    def list_names_in_turn(folder: OpenFolder) -> list[str]:
        """The first to list the work folder is the cleaning, which lists it again once it has cleared leftovers."""
        if folder.path == machine.work and not cleaners:
            cleaners.append(threading.get_ident())
            is_cleaning.set()
            assert is_exchanging.wait(PATIENCE_SECONDS)
        elif folder.path == machine.work and threading.get_ident() in cleaners:
            is_cleaned.set()
        return list_names(folder)

    def wait_for_cleaning(flag: int, _: bytes, __: bytes) -> bool:
        if flag == _EXCHANGE:
            is_exchanging.set()
            assert is_cleaned.wait(PATIENCE_SECONDS)
        return False

    monkeypatch.setattr(OpenFolder, "list_names", list_names_in_turn)
    fail_renames(monkeypatch, wait_for_cleaning)

    assert apply_beside_cleaning(machine, plan, is_cleaning) == ["ready"]
    assert machine.read_files() == get_expected_files(NEW)


def apply_beside_cleaning(machine: RealMachine, plan: Plan, is_cleaning: threading.Event) -> list[str | None]:
    """Apply a plan once the cleaning after an empty plan has begun, and return the states of its models."""

    async def apply(state: MachineState) -> list[str | None]:
        options = replace(DEFAULT_OPTIONS, get_file_url=machine.store.get_file_url)
        async with Executor(state, machine.store.get_download_url, options) as executor:
            await executor.submit(Plan(work_folders=plan.work_folders), options)
            assert await asyncio.to_thread(is_cleaning.wait, PATIENCE_SECONDS)
            await executor.submit(plan, options)
            await executor.wait_until_idle()
            return [state.state for state in executor.progress.list_replica_states()]

    with machine.open_state() as state:
        return asyncio.run(apply(state))


class WritingStore(ModelStore):
    """A store during whose downloads a program writes to a file."""

    written: Path

    async def get_file_url(self, desired: DesiredModel) -> str:
        if desired.file_path == "vae/c.sft":
            await asyncio.to_thread(self._write)
        return await super().get_file_url(desired)

    def _write(self) -> None:
        with self.written.open("r+b") as file:
            file.write(b"other")


def test_replace_after_write_to_linked_file_never_reports_other_content(
    machine: RealMachine, store: ModelStore
) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    machine.store = writing = WritingStore(store.server)
    writing.written = machine.models / PATH / "unet/b.sft"
    new = writing.add_folder(PATH, NEW, version=2)

    first = machine.sync(new)[PATH]
    assert (first.state, "unet/b.sft" in (first.reason or "")) == ("failed", True)

    assert machine.sync(new)[PATH].state == "ready"
    assert machine.read_files() == get_expected_files(NEW)


class RenumberingStore(WritingStore):
    """A store during whose downloads a file gets another inode, as all do when some file systems are mounted again."""

    content: bytes

    def _write(self) -> None:
        [file] = self.written.glob("*.folder/unet/b.sft")
        copy = file.with_name("copy")
        copy.write_bytes(self.content)
        shutil.copystat(file, copy)
        copy.rename(file)


@pytest.mark.parametrize(
    ("content", "state"), [(WEIGHTS, "ready"), (b"x" * len(WEIGHTS), "failed")], ids=["equal", "other"]
)
def test_place_folder_with_file_of_another_inode_reads_it_again(
    machine: RealMachine, store: ModelStore, content: bytes, state: str
) -> None:
    machine.store = renumbering = RenumberingStore(store.server)
    renumbering.written, renumbering.content = machine.work, content

    assert machine.sync(renumbering.add_folder(PATH, NEW))[PATH].state == state

    assert machine.read_files() == (get_expected_files(NEW) if state == "ready" else {})


def test_place_failed_fsync_after_rename_keeps_ownership(
    machine: RealMachine, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, folder = store.add_folder(PATH, OLD), machine.models / PATH
    failed: list[Path] = []
    sync = OpenFolder.sync_to_disk

    def fail_once(opened: OpenFolder) -> None:
        if not failed and folder.exists():
            failed.append(opened.path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(opened)

    monkeypatch.setattr(OpenFolder, "sync_to_disk", fail_once)
    assert machine.sync(entry)[PATH].state == "failed"

    assert failed
    assert machine.sync(entry)[PATH].state == "ready"
    assert is_placed(machine)
    machine.sync()
    assert machine.read_files() == {}
