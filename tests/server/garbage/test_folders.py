"""Garbage collection of folders: files stay as long as a version uses them, and go with the last one."""

import pytest

from tests.server.garbage.garbage_team import GarbageTeam
from tests.server.harness import make_model_file
from tests.server.models.folders.folder_push import download, make_folder, register

pytestmark = pytest.mark.slow


def test_collect_keeps_all_files_of_a_folder(team: GarbageTeam) -> None:
    files = make_folder()
    model_id = register(team.owner, files)

    team.collect(is_thorough=True)
    team.collect(is_thorough=True)

    assert download(team.owner, model_id) == files


def test_collect_deleted_folder_removes_all_of_its_objects(team: GarbageTeam) -> None:
    model_id = register(team.owner, make_folder())
    team.owner.delete(f"/models/{model_id}")

    team.collect()
    team.collect()

    assert team.list_objects() == set()
    assert team.owner.get("/teams/current").json()["stored_bytes"] == 0


def test_collect_deleted_folder_keeps_files_that_others_use(team: GarbageTeam) -> None:
    files = make_folder()
    content = files["unet/model.safetensors"]
    single = team.owner.register(content, "loras/ink.safetensors")
    other = register(team.owner, {"config.json": files["unet/config.json"], "a.txt": b"text"}, "LLM/other")
    deleted = register(team.owner, files)
    team.owner.delete(f"/models/{deleted}")

    team.collect()
    team.collect(is_thorough=True)

    assert download(team.owner, other) == {"config.json": files["unet/config.json"], "a.txt": b"text"}
    assert download(team.owner, single) == {"ink.safetensors": content}
    kept = sum(len(each) for each in (content, files["unet/config.json"], b"text"))
    assert len(team.list_objects()) == 4
    assert team.owner.get("/teams/current").json()["stored_bytes"] > kept


def test_collect_deleted_model_keeps_its_content_in_a_folder(team: GarbageTeam) -> None:
    files = make_folder()
    single = team.owner.register(files["unet/model.safetensors"], "loras/ink.safetensors")
    folder = register(team.owner, files)
    team.owner.delete(f"/models/{single}")

    team.collect()
    team.collect(is_thorough=True)

    assert download(team.owner, folder) == files


def test_collect_purged_version_removes_only_its_own_files(team: GarbageTeam) -> None:
    files = make_folder()
    model_id = register(team.owner, files)
    changed = files | {"tokenizer/merges.txt": b"other"}
    register(team.owner, changed, replaces=model_id)
    assert team.owner.delete(f"/models/{model_id}/versions/1").status_code == 204

    team.collect()
    team.collect()

    assert download(team.owner, model_id) == changed
    assert len(team.list_objects()) == len(changed) + 1


def test_collect_dry_run_counts_the_files_of_a_deleted_folder(team: GarbageTeam) -> None:
    files = make_folder()
    register(team.owner, {"a.safetensors": make_model_file("oil")}, "LLM/kept")
    model_id = register(team.owner, files)
    team.owner.delete(f"/models/{model_id}")

    counted = team.collect(is_dry=True, is_thorough=True)

    assert counted.files == len(files) + 1
    assert len(team.list_objects()) == len(files) + 3
