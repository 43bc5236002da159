"""The plan of pictures beside models, for simulated disks."""

from collections.abc import Sequence
from typing import Any

import pytest

from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.previews.apply import require_space
from modelyard.sync.previews.planner import (
    SIDECAR_SUFFIXES,
    PreviewPlan,
    ReadyModel,
    get_picture_id,
    plan_previews,
)
from tests.sync.factories import DISK, MODELS, SimulatedDisk, build_install

INK, OIL = "loras/ink.safetensors", "loras/oil.safetensors"
INK_PREVIEW, OIL_PREVIEW = "loras/ink.preview.png", "loras/oil.preview.png"
RED, BLUE = "a" * 64, "b" * 64


def add_preview(disk: SimulatedDisk, path: str, picture: str, **placement: Any) -> None:
    """Add a picture that the agent wrote, with its row."""
    disk.add_placement(path, picture, model_id=get_picture_id(picture), **placement)
    disk.add_user_file(path, picture)


def plan(disk: SimulatedDisk, *models: tuple[str, str | None], others: Sequence[str] = ()) -> PreviewPlan:
    ready = [ReadyModel(MODELS / path, picture) for path, picture in models]
    return plan_previews(ready, {MODELS / path for path in others}, disk.build_inventory())


def list_changes(planned: PreviewPlan) -> list[tuple[str, str]]:
    """Return what is done at each path, and with which picture."""
    verbs = [("write" if each.old_placement is None else "replace", each.target.name) for each in planned.write]
    return [*verbs, *(("remove", each.target.name) for each in planned.remove)]


@pytest.fixture
def disk() -> SimulatedDisk:
    """A disk with two models."""
    disk = SimulatedDisk()
    disk.add_user_file(INK)
    disk.add_user_file(OIL)
    return disk


def test_plan_writes_pictures_of_models_that_have_one(disk: SimulatedDisk) -> None:
    planned = plan(disk, (INK, RED), (OIL, None))
    assert [(each.target.path, each.picture_sha256) for each in planned.write] == [(MODELS / INK_PREVIEW, RED)]


def test_require_space_with_keep_free_above_the_whole_disk_names_the_setting_to_lower(disk: SimulatedDisk) -> None:
    [action] = plan(disk, (INK, RED)).write
    with pytest.raises(NotPlaced, match="Lower keep_free in agent"):
        require_space(action, 500_000 * 10**12)


def test_plan_with_all_pictures_in_place_changes_nothing(disk: SimulatedDisk) -> None:
    add_preview(disk, INK_PREVIEW, RED)
    assert plan(disk, (INK, RED), (OIL, None)) == PreviewPlan()


@pytest.mark.parametrize(
    ("models", "others", "expected"),
    [
        pytest.param([(INK, BLUE)], [], [("replace", "ink.preview.png")], id="other picture"),
        pytest.param([(INK, None)], [], [("remove", "ink.preview.png")], id="picture removed in the registry"),
        pytest.param([], [], [("remove", "ink.preview.png")], id="model removed"),
        pytest.param([(OIL, RED)], [], [("write", "oil.preview.png"), ("remove", "ink.preview.png")], id="moved"),
        pytest.param([], [INK], [], id="removal of the model held"),
    ],
)
def test_plan_for_own_picture_follows_its_model(
    disk: SimulatedDisk,
    models: list[tuple[str, str | None]],
    others: list[str],
    expected: list[tuple[str, str]],
) -> None:
    add_preview(disk, INK_PREVIEW, RED)
    assert list_changes(plan(disk, *models, others=others)) == expected


@pytest.mark.parametrize("suffix", [*SIDECAR_SUFFIXES, ".PNG", ".Preview.WebP"])
def test_plan_writes_no_picture_beside_one_of_the_user(disk: SimulatedDisk, suffix: str) -> None:
    disk.add_user_file(f"loras/ink{suffix}")
    assert plan(disk, (INK, RED)) == PreviewPlan()


@pytest.mark.parametrize("name", ["ink.txt", "ink.json", "ink2.png", "ink.preview2.png", "deep/ink.png"])
def test_plan_files_with_other_names_are_no_pictures_of_the_model(disk: SimulatedDisk, name: str) -> None:
    disk.add_user_file(f"loras/{name}")
    assert list_changes(plan(disk, (INK, RED))) == [("write", "ink.preview.png")]


@pytest.mark.parametrize("kind", ["link", "dangling", "folder"])
def test_plan_anything_with_the_name_of_a_picture_counts_as_the_users(disk: SimulatedDisk, kind: str) -> None:
    disk.add_user_file(INK_PREVIEW, kind=kind)
    assert plan(disk, (INK, RED)) == PreviewPlan()


def test_plan_own_picture_is_removed_once_the_user_adds_one(disk: SimulatedDisk) -> None:
    add_preview(disk, INK_PREVIEW, RED)
    disk.add_user_file("loras/ink.jpg")
    assert list_changes(plan(disk, (INK, RED))) == [("remove", "ink.preview.png")]


def test_plan_own_picture_is_no_sidecar_of_a_model_with_a_longer_name(disk: SimulatedDisk) -> None:
    disk.add_user_file("loras/ink.preview.safetensors")
    add_preview(disk, INK_PREVIEW, RED)
    planned = plan(disk, (INK, RED), ("loras/ink.preview.safetensors", BLUE))
    assert list_changes(planned) == [("write", "ink.preview.preview.png")]


def test_plan_two_models_with_one_stem_share_the_picture_of_the_first(disk: SimulatedDisk) -> None:
    disk.add_user_file("loras/ink.pt")
    planned = plan(disk, (INK, RED), ("loras/ink.pt", BLUE))
    assert [(each.target.name, each.picture_sha256) for each in planned.write] == [("ink.preview.png", BLUE)]


def test_plan_picture_that_the_user_changed_is_theirs_from_then_on(disk: SimulatedDisk) -> None:
    disk.add_placement(INK_PREVIEW, RED, model_id=get_picture_id(RED))
    disk.add_user_file(INK_PREVIEW, "changed by its user")
    for models in ([(INK, BLUE)], []):
        planned = plan(disk, *models)
        assert (list_changes(planned), len(planned.journal_changes.rows_to_delete)) == ([], 1)


def test_plan_after_kill_between_rename_and_confirmation_confirms_the_row(disk: SimulatedDisk) -> None:
    add_preview(disk, INK_PREVIEW, RED, is_confirmed=False, inode=disk.files[MODELS / OIL].inode + 1)
    planned = plan(disk, (INK, RED))
    assert list_changes(planned) == []
    assert [row.is_confirmed for row in planned.journal_changes.rows_to_write] == [True]


def test_plan_identical_file_of_the_user_stays_theirs(disk: SimulatedDisk) -> None:
    add_preview(disk, INK_PREVIEW, RED, is_confirmed=False, inode=1)
    planned = plan(disk, (INK, None))
    assert (list_changes(planned), planned.journal_changes.rows_to_write) == ([], ())
    assert len(planned.journal_changes.rows_to_delete) == 1


def test_plan_missing_picture_is_written_again(disk: SimulatedDisk) -> None:
    disk.add_placement(INK_PREVIEW, RED, model_id=get_picture_id(RED))
    assert list_changes(plan(disk, (INK, RED))) == [("write", "ink.preview.png")]


def build_disk_with(**facts: Any) -> SimulatedDisk:
    disk = SimulatedDisk(build_install(**facts))
    disk.add_user_file(INK)
    add_preview(disk, OIL_PREVIEW, RED)
    return disk


@pytest.mark.parametrize("facts", [{"problem": "It is mounted read-only."}, {"is_listed": False, "problem": "Gone."}])
def test_plan_in_root_that_cannot_be_written_changes_nothing(facts: dict[str, Any]) -> None:
    assert plan(build_disk_with(**facts), (INK, BLUE)) == PreviewPlan()


def test_plan_writes_nothing_in_folders_of_custom_nodes() -> None:
    """ComfyUI lists every file in a folder that a custom node has added."""
    other = MODELS / "ipadapter"
    disk = SimulatedDisk((*build_install(), RootOnDisk("ipadapter", other, other, MODELS / ".modelyard", DISK, 1)))
    disk.add_user_file("ipadapter/face.safetensors")
    assert plan(disk, ("ipadapter/face.safetensors", RED)) == PreviewPlan()


def test_plan_model_that_is_not_listed_gets_no_picture(disk: SimulatedDisk) -> None:
    assert plan(disk, ("loras/linked/folder/ink.safetensors", RED)) == PreviewPlan()


def test_plan_does_not_depend_on_the_order_of_models(disk: SimulatedDisk) -> None:
    assert plan(disk, (INK, RED), (OIL, BLUE)) == plan(disk, (OIL, BLUE), (INK, RED))
