"""Folder models on a real disk: placed, replaced, repaired and removed as one folder, beside a user's own files."""

import ctypes
import errno
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from modelyard.sync.apply.files.dir_handles import OpenFolder
from modelyard.sync.desired import build_desired_state
from modelyard.sync.inventory.file_hashes import ScanOptions
from modelyard.sync.inventory.scan import scan_roots
from modelyard.sync.planning.actions import Plan
from tests.sync.folders.folder_contents import CONFIG, NEW, OLD, PATH, WEIGHTS, get_expected_files
from tests.sync.real_machine import ModelStore, RealMachine, hash_bytes


def test_sync_folder_places_all_files_with_one_row(machine: RealMachine, store: ModelStore) -> None:
    state = machine.sync(store.add_folder(PATH, OLD))[PATH]

    assert (state.state, state.size, state.path) == ("ready", sum(map(len, OLD.values())), machine.models / PATH)
    assert machine.read_files() == get_expected_files(OLD)
    [row] = machine.placements
    assert (row.path, row.origin, row.is_confirmed, row.is_folder) == (machine.models / PATH, "placed", True, True)
    assert machine.list_work_files() == []
    assert machine.plan(store.add_folder(PATH, OLD)).is_empty


def test_sync_new_version_replaces_folder_and_downloads_only_changed_files(
    machine: RealMachine, store: ModelStore
) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    store.requested_files.clear()

    assert machine.sync(store.add_folder(PATH, NEW, version=2))[PATH].state == "ready"

    assert machine.read_files() == get_expected_files(NEW)
    assert store.requested_files == ["unet/config.json", "vae/weights.safetensors"]
    assert [(row.sha256, row.is_confirmed) for row in machine.placements] == [
        (store.add_folder(PATH, NEW).file_hash.removeprefix("sha256:"), True)
    ]
    [in_trash] = (machine.work / "trash").iterdir()
    assert (in_trash / "unet/config.json").read_bytes() == CONFIG


def test_sync_equal_files_in_folder_are_downloaded_once(machine: RealMachine, store: ModelStore) -> None:
    files = {"a.safetensors": WEIGHTS, "b/a.safetensors": WEIGHTS}

    machine.sync(store.add_folder(PATH, files))

    assert store.requested_files == ["a.safetensors"]
    assert machine.read_files() == get_expected_files(files)
    # Two files of a live model never share their blocks by a hard link.
    assert (machine.models / PATH / "a.safetensors").stat().st_nlink == 1


@pytest.mark.parametrize("damage", [b"", b"other", None], ids=["emptied", "changed", "missing"])
def test_sync_damaged_file_in_folder_is_repaired(machine: RealMachine, store: ModelStore, damage: bytes | None) -> None:
    desired = store.add_folder(PATH, OLD)
    machine.sync(desired)
    store.requested_files.clear()
    file = machine.models / PATH / "unet/config.json"
    file.unlink() if damage is None else file.write_bytes(damage)

    assert machine.sync(desired)[PATH].state == "ready"

    assert machine.read_files() == get_expected_files(OLD)
    assert store.requested_files == ["unet/config.json"]
    assert machine.plan(desired).is_empty


def test_sync_removed_folder_goes_to_trash_and_is_purged(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    machine.sync()

    assert machine.read_files() == {}
    assert machine.placements == []
    [in_trash] = (machine.work / "trash").iterdir()
    assert (in_trash / "unet/weights.safetensors").read_bytes() == WEIGHTS

    in_trash.rename(in_trash.with_name(f"{in_trash.name.partition('.')[0]}.1"))
    machine.sync()
    assert list((machine.work / "trash").iterdir()) == []


def test_sync_renamed_folder_downloads_nothing(machine: RealMachine, store: ModelStore) -> None:
    entry = store.add_folder(PATH, OLD)
    machine.sync(entry)
    store.requested_files.clear()

    machine.sync(entry.model_copy(update={"model_path": "diffusers/renamed"}))

    assert machine.read_files() == get_expected_files(OLD, "diffusers/renamed")
    assert store.requested_files == []


def test_scan_counts_folder_in_trash_as_space_but_not_as_a_source(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    machine.sync()

    with machine.open_state() as state:
        inventory = scan_roots(machine.installs, (), state)

    assert [space.trash_bytes for space in inventory.spaces.values()] == [sum(map(len, OLD.values()))]
    assert inventory.trash_files == {}


def test_scan_counts_files_in_trash_that_have_other_names_only_once_all_are_there(
    machine: RealMachine, store: ModelStore
) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    machine.sync(store.add_folder(PATH, NEW, version=2))
    assert count_trash_bytes(machine) == len(CONFIG)  # the others are in the new folder too

    machine.sync()
    assert count_trash_bytes(machine) == sum(map(len, {*OLD.values(), *NEW.values()}))


def count_trash_bytes(machine: RealMachine) -> int:
    with machine.open_state() as state:
        return sum(space.trash_bytes for space in scan_roots(machine.installs, (), state).spaces.values())


def test_replace_links_its_own_file_rather_than_copying_another_folders(
    machine: RealMachine, store: ModelStore
) -> None:
    other = store.add_folder("diffusers/another", {"unet/weights.safetensors": WEIGHTS})
    machine.sync(other, store.add_folder(PATH, OLD))
    weights = machine.models / PATH / "unet/weights.safetensors"
    inode = weights.stat().st_ino

    machine.sync(other, store.add_folder(PATH, NEW, version=2))

    assert weights.stat().st_ino == inode


def test_folders_with_one_file_never_share_it_by_a_hard_link(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    twice = {"unet/weights.safetensors": WEIGHTS, "vae/weights.safetensors": WEIGHTS}
    # The old version's file is in the trash, and the new version's is a link to it.
    machine.sync(flux := store.add_folder(PATH, twice, version=2))

    machine.sync(flux, store.add_folder("diffusers/other", {"weights.safetensors": WEIGHTS}))

    files = list(machine.models.glob("diffusers/*/**/*.safetensors"))
    assert len({file.stat().st_ino for file in files}) == len(files) == 3


def test_stage_file_from_folder_that_cannot_be_read_downloads_it(
    machine: RealMachine, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = store.add_folder("diffusers/another", {"weights.safetensors": WEIGHTS})
    machine.sync(other)
    open_file = OpenFolder.open_file

    def fail(folder: OpenFolder, name: str) -> AbstractContextManager[int]:
        if folder.path.name == "another":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open_file(folder, name)

    monkeypatch.setattr(OpenFolder, "open_file", fail)

    assert machine.sync(other, store.add_folder(PATH, OLD))[PATH].state == "ready"
    assert machine.read_files() == get_expected_files(OLD) | {"diffusers/another/weights.safetensors": WEIGHTS}


def test_scan_after_placing_folder_reads_no_file_again(machine: RealMachine, store: ModelStore) -> None:
    desired = store.add_folder(PATH, OLD)
    machine.sync(desired)
    read: list[Path] = []

    with machine.open_state() as state:
        models = build_desired_state([desired], folder_files=store.folder_files).models
        scan_roots(machine.installs, models, state, ScanOptions(lambda path, *_: read.append(path)))

    assert read == []


def test_place_folder_created_after_plan_is_a_conflict(machine: RealMachine, store: ModelStore) -> None:
    plan = machine.plan(store.add_folder(PATH, OLD))
    machine.write_user_file(f"{PATH}/mine.sft", b"mine")

    assert machine.apply(plan)[PATH].state == "conflict"

    assert machine.read_files() == {f"{PATH}/mine.sft": b"mine"}
    assert machine.placements == []


def test_place_through_link_changes_nothing_outside(machine: RealMachine, store: ModelStore, tmp_path: Path) -> None:
    plan = machine.plan(store.add_folder("diffusers/deep/flux", OLD))
    outside = tmp_path / "outside"
    outside.mkdir()
    (machine.models / "diffusers").mkdir()
    (machine.models / "diffusers/deep").symlink_to(outside)

    assert machine.apply(plan)["diffusers/deep/flux"].state == "blocked"

    assert list(outside.iterdir()) == []


def replace_folder_after_plan(machine: RealMachine, store: ModelStore, change: str) -> Plan:
    """Place a folder, plan its replacement, and then change it as a user would."""
    machine.sync(store.add_folder(PATH, OLD))
    plan = machine.plan(store.add_folder(PATH, NEW, version=2))
    folder = machine.models / PATH
    match change:
        case "file added":
            machine.write_user_file(f"{PATH}/mine.sft", b"mine")
        case "link added":
            (folder / "unet/link").symlink_to(folder)
        case "replaced by other":
            shutil.rmtree(folder)
            machine.write_user_file(f"{PATH}/model_index.json", b"mine")
        case _:
            shutil.rmtree(folder)
            folder.write_bytes(b"mine")
    return plan


@pytest.mark.parametrize("change", ["file added", "link added", "replaced by other", "replaced by file"])
def test_replace_folder_changed_after_plan_is_a_conflict(machine: RealMachine, store: ModelStore, change: str) -> None:
    plan = replace_folder_after_plan(machine, store, change)
    before = machine.read_files()

    assert machine.apply(plan)[PATH].state == "conflict"

    assert machine.read_files() == before


def test_sync_incomplete_folder_continues_with_the_missing_files(machine: RealMachine, store: ModelStore) -> None:
    desired = store.add_folder(PATH, OLD)
    store.server.objects.pop(f"/{hash_bytes(WEIGHTS)}")

    assert machine.sync(desired)[PATH].state == "failed"
    assert machine.read_files() == {}
    store.requested_files.clear()

    assert machine.sync(store.add_folder(PATH, OLD))[PATH].state == "ready"
    assert store.requested_files == ["unet/weights.safetensors"]
    assert machine.read_files() == get_expected_files(OLD)


def test_sync_folder_without_list_of_files_waits_and_keeps_what_is_here(
    machine: RealMachine, store: ModelStore
) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    new = store.add_folder(PATH, NEW, version=2)
    store.folder_files.pop(new.file_hash.removeprefix("sha256:"))

    assert machine.sync(new)[PATH].state == "queued"

    assert machine.read_files() == get_expected_files(OLD)
    assert [row.is_folder for row in machine.placements] == [True]


@pytest.mark.parametrize("path", ["diffusers", "diffusers/flux/dev"], ids=["to a parent", "into itself"])
def test_sync_folder_that_was_moved_above_or_below_itself_is_placed_there(
    machine: RealMachine, store: ModelStore, path: str
) -> None:
    before, after = ("diffusers/flux/dev", "diffusers/flux") if path == "diffusers" else ("diffusers/flux", path)
    entry = store.add_folder(before, OLD)
    machine.sync(entry)
    moved = entry.model_copy(update={"model_path": after})
    store.requested_files.clear()

    assert machine.sync(moved)[after].state == "queued"
    assert machine.sync(moved)[after].state == "ready"

    assert machine.read_files() == get_expected_files(OLD, after)
    assert store.requested_files == []


def test_sync_folder_moved_to_its_parent_with_a_users_file_is_a_conflict(
    machine: RealMachine, store: ModelStore
) -> None:
    entry = store.add_folder("diffusers/flux/dev", OLD)
    machine.sync(entry)
    machine.write_user_file("diffusers/flux/mine.txt", b"mine")

    assert machine.sync(entry.model_copy(update={"model_path": "diffusers/flux"}))["diffusers/flux"].state == "conflict"

    assert machine.read_files() == get_expected_files(OLD, "diffusers/flux/dev") | {"diffusers/flux/mine.txt": b"mine"}


def test_sync_model_inside_folder_that_is_removed_waits_for_that(machine: RealMachine, store: ModelStore) -> None:
    machine.sync(store.add_folder(PATH, OLD))
    ink = store.add_model(f"{PATH}/ink.sft", b"ink")

    assert machine.sync(ink)[ink.model_path].state == "queued"
    assert machine.sync(ink)[ink.model_path].state == "ready"

    assert machine.read_files() == {ink.model_path: b"ink"}


def test_exchange_is_supported_here() -> None:
    # Otherwise the tests above test only the fallback.
    assert hasattr(ctypes.CDLL(None), "renameat2")
