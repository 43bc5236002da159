"""Folder models that get the path of a folder above or below their own one, on a real disk."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from modelyard.comfyui.layout import Root
from modelyard.sync.inventory.filesystem import get_filesystem_space
from tests.sync.folders.folder_contents import get_expected_files
from tests.sync.real_machine import ModelStore, RealMachine

WEIGHTS = os.urandom(10_000)
OLD = {"model_index.json": b"{}", "unet/weights.safetensors": WEIGHTS}
MOVES = pytest.mark.parametrize(
    ("before", "after"),
    [("diffusers/flux/dev", "diffusers/flux"), ("diffusers/flux", "diffusers/flux/dev")],
    ids=["to a parent", "into itself"],
)


@MOVES
def test_sync_moved_folder_whose_registry_copy_is_damaged_keeps_the_old_one(
    machine: RealMachine, store: ModelStore, before: str, after: str
) -> None:
    entry = store.add_folder(before, OLD)
    machine.sync(entry)
    moved = entry.model_copy(update={"model_path": after, "keep": True})

    assert [machine.sync(moved)[after].state for _ in range(2)] == ["blocked", "blocked"]

    assert machine.read_files() == get_expected_files(OLD, before)


@MOVES
@pytest.mark.parametrize("limit", ["disk", "disk budget"])
def test_sync_moved_folder_with_a_version_that_does_not_fit_keeps_the_old_one(
    machine: RealMachine, store: ModelStore, before: str, after: str, limit: str
) -> None:
    machine.sync(store.add_folder(before, OLD))
    space = get_filesystem_space(machine.models)
    assert space is not None
    keep_free = space.total_bytes if limit == "disk" else 0
    budget = 10_010 if limit == "disk budget" else None
    moved = store.add_folder(after, OLD | {"vae.safetensors": b"vae"}, version=2).model_copy(
        update={"id": store.add_folder(before, OLD).id}
    )

    states = [machine.sync(moved, keep_free_bytes=keep_free, disk_budget_bytes=budget)[after].state for _ in range(2)]

    assert states == ["blocked", "blocked"]

    assert machine.read_files() == get_expected_files(OLD, before)


@pytest.mark.parametrize("is_first", [True, False], ids=["first root", "later root"])
def test_sync_moved_folder_that_a_users_folder_in_another_root_hides_keeps_the_old_one(
    machine: RealMachine, store: ModelStore, tmp_path: Path, is_first: bool
) -> None:
    entry = store.add_folder("diffusers/flux/dev", OLD)
    machine.sync(entry)
    users = tmp_path / "shared" / "diffusers"
    (users / "flux").mkdir(parents=True)
    (users / "flux" / "mine.txt").write_bytes(b"mine")
    [install] = machine.installs
    [own] = [root for root in install.roots if root.path == machine.models / "diffusers"]
    roots = (Root(own.key, users), own) if is_first else (own, Root(own.key, users))
    machine.installs = (replace(install, roots=roots),)
    moved = entry.model_copy(update={"model_path": "diffusers/flux"})

    states = [machine.sync(moved)["diffusers/flux"] for _ in range(2)]

    assert [state.state for state in states] == ["conflict", "conflict"]
    assert str(users / "flux") in (states[0].reason or "")
    assert machine.read_files() == get_expected_files(OLD, "diffusers/flux/dev")


def test_sync_folder_moved_up_past_a_folder_that_it_does_not_have_keeps_the_old_one(
    machine: RealMachine, store: ModelStore
) -> None:
    entry = store.add_folder("diffusers/flux/dev/v1", OLD)
    machine.sync(entry)
    moved = entry.model_copy(update={"model_path": "diffusers/flux"})

    assert [machine.sync(moved)["diffusers/flux"].state for _ in range(2)] == ["conflict", "conflict"]

    assert machine.read_files() == get_expected_files(OLD, "diffusers/flux/dev/v1")


def test_sync_folder_moved_up_past_a_folder_that_it_has_is_placed(machine: RealMachine, store: ModelStore) -> None:
    entry = store.add_folder("diffusers/flux/unet/v1", OLD)
    machine.sync(entry)
    moved = entry.model_copy(update={"model_path": "diffusers/flux"})

    assert [machine.sync(moved)["diffusers/flux"].state for _ in range(2)] == ["queued", "ready"]

    assert machine.read_files() == get_expected_files(OLD, "diffusers/flux")
