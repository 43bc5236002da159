"""Folders and files of users beside and inside folder models: never changed, and reported."""

import os
import shutil

import pytest

from tests.sync.folders.folder_contents import NEW, OLD, PATH, get_expected_files
from tests.sync.real_machine import ModelStore, RealMachine


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "replaced"])
@pytest.mark.parametrize("mine", ["notes.txt", "mine/ink.sft"])
def test_sync_folder_with_users_file_stays_as_it_is(
    machine: RealMachine, store: ModelStore, mine: str, is_removed: bool
) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    machine.write_user_file(f"{PATH}/{mine}", b"mine")

    states = machine.sync() if is_removed else machine.sync(store.add_folder(PATH, NEW, version=2))

    [state] = states.values()
    assert mine in (state.reason or "")
    assert is_removed or state.state == "conflict"
    assert machine.read_files() == get_expected_files(OLD | {mine: b"mine"})
    assert [row.is_folder for row in machine.placements] == [True]

    # Once it is away, the folder is removed or replaced.
    shutil.rmtree(machine.models / PATH / "mine", ignore_errors=True)
    (machine.models / PATH / "notes.txt").unlink(missing_ok=True)
    machine.sync() if is_removed else machine.sync(store.add_folder(PATH, NEW, version=2))
    assert machine.read_files() == ({} if is_removed else get_expected_files(NEW))


def test_sync_removed_folder_with_changed_file_stays(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    (machine.models / PATH / "unet/config.json").write_bytes(b"mine")

    [state] = machine.sync().values()

    assert "unet/config.json" in (state.reason or "")
    assert machine.read_files() == get_expected_files(OLD | {"unet/config.json": b"mine"})


def test_sync_users_folder_is_a_conflict_and_never_changes(machine: RealMachine, store: ModelStore) -> None:
    mine = OLD | {"unet/config.json": b"mine"}
    for name, content in mine.items():
        machine.write_user_file(f"{PATH}/{name}", content)

    state = machine.sync(store.add_folder(PATH, OLD))[PATH]
    assert (state.state, "unet/config.json" in (state.reason or "")) == ("conflict", True)
    machine.sync()

    assert machine.read_files() == get_expected_files(mine)
    assert machine.placements == []


def test_sync_users_equal_folder_is_found_and_never_removed(machine: RealMachine, store: ModelStore) -> None:
    for name, content in OLD.items():
        machine.write_user_file(f"{PATH}/{name}", content)

    assert machine.sync(store.add_folder(PATH, OLD))[PATH].origin == "found"
    assert store.requested_files == []
    machine.sync()

    assert machine.read_files() == get_expected_files(OLD)


def test_sync_users_folder_in_place_of_placed_one_is_never_changed(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    folder = machine.models / PATH
    folder.rename(machine.models / "diffusers/away")
    mine = OLD | {"unet/config.json": b"mine"}
    for name, content in mine.items():
        machine.write_user_file(f"{PATH}/{name}", content)

    assert machine.sync(store.add_folder(PATH, NEW, version=2))[PATH].state == "conflict"
    machine.sync()

    assert machine.read_files() == get_expected_files(mine) | get_expected_files(OLD, "diffusers/away")


def test_sync_folder_where_only_empty_folders_are_places_it(machine: RealMachine, store: ModelStore) -> None:
    (machine.models / PATH / "unet").mkdir(parents=True)

    assert machine.sync(store.add_folder(PATH, OLD))[PATH].state == "ready"

    assert machine.read_files() == get_expected_files(OLD)


def test_sync_folder_where_a_users_empty_folder_is_keeps_it(machine: RealMachine, store: ModelStore) -> None:
    mine = machine.models / PATH / "my notes"
    mine.mkdir(parents=True)

    assert machine.sync(store.add_folder(PATH, OLD))[PATH].state == "conflict"

    assert mine.exists()
    assert store.requested_files == []


def test_place_folder_where_a_users_empty_folder_was_made_after_the_plan_keeps_it(
    machine: RealMachine, store: ModelStore
) -> None:
    plan = machine.plan(store.add_folder(PATH, OLD))
    mine = machine.models / PATH / "my notes"
    mine.mkdir(parents=True)

    assert machine.apply(plan)[PATH].state == "conflict"

    assert mine.exists()


def renumber_folder(machine: RealMachine) -> None:
    """Give a folder another inode and the same files, as the mount of some file systems does."""
    folder = machine.models / PATH
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    (machine.models / "diffusers/other").mkdir()  # takes the inode
    copy.rename(folder)
    (machine.models / "diffusers/other").rmdir()


def test_sync_folder_with_other_inode_and_unchanged_files_stays_the_agents(
    machine: RealMachine, store: ModelStore
) -> None:
    desired = store.add_folder(PATH, OLD)
    machine.sync(desired)
    [row] = machine.placements
    renumber_folder(machine)

    assert machine.sync(desired)[PATH].state == "ready"

    [new_row] = machine.placements
    assert (new_row.origin, new_row.inode == row.inode) == ("placed", False)
    assert machine.sync(store.add_folder(PATH, NEW, version=2))[PATH].state == "ready"
    renumber_folder(machine)
    machine.sync()
    assert machine.read_files() == {}


@pytest.mark.parametrize("change", ["file added", "folder added", "time", "missing"])
def test_sync_folder_with_other_inode_and_a_change_is_a_users(
    machine: RealMachine, store: ModelStore, change: str
) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    renumber_folder(machine)
    file = machine.models / PATH / "unet/config.json"
    match change:
        case "file added":
            machine.write_user_file(f"{PATH}/mine.txt", b"mine")
        case "folder added":
            (machine.models / PATH / "mine").mkdir()
        case "time":
            os.utime(file, (1_700_000_000, 1_700_000_000))
        case _:
            file.unlink()
    before = machine.read_files()

    machine.sync()

    assert machine.read_files() == before
