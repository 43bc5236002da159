"""Moves of folder models: the paths of their files are checked before the database's writer is taken."""

from collections.abc import Callable
from uuid import UUID

import pytest

from modelyard.server.models.operations import update_model
from modelyard.wire.models import ModelUpdate
from modelyard.wire.problems import ModelNotFound, ModelPathRefused, RoleTooLow
from tests.server.collections.test_rollout_queries import build_context
from tests.server.harness import ApiCaller, Harness
from tests.server.models.folders.folder_push import PATH, make_folder, register
from tests.server.watched_database import WatchedDatabase

# With a file at depth 3, the path has nine segments.
DEEP = "diffusers/a/b/c/d/e"
DEEPER = {"a/b/c/merges.txt": b"#version: 0.2"}


def move(
    registry: Harness, team: ApiCaller, model_id: str, path: str, meanwhile: Callable[[], object] | None = None
) -> list[list[str]]:
    """Move a model, while something happens before the writing transaction; return the statements of each of these."""
    watched = WatchedDatabase(registry.resources.database)
    happens = [] if meanwhile is None else [meanwhile]

    def do_once() -> None:
        while happens:
            happens.pop()()

    watched.after_reading = do_once
    update_model(watched.as_database(), build_context(team), UUID(model_id), ModelUpdate(model_path=path), None)
    return watched.written


def get_path(team: ApiCaller, model_id: str) -> str:
    return str(team.get(f"/models/{model_id}").json()["model_path"])


def test_move_of_a_folder_reads_none_of_its_files_while_others_wait(shared_registry: Harness, team: ApiCaller) -> None:
    model_id = register(team, make_folder())
    [statements] = move(shared_registry, team, model_id, DEEP)
    assert get_path(team, model_id) == DEEP
    assert [each for each in statements if "folder_files" in each] == []


def test_move_that_is_too_deep_for_a_file_of_an_earlier_version_is_refused(team: ApiCaller) -> None:
    model_id = register(team, make_folder() | DEEPER)
    register(team, make_folder("oil"), replaces=model_id)
    refused = team.put(f"/models/{model_id}", model_path=DEEP)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "model_path")
    assert get_path(team, model_id) == PATH


def test_move_that_is_too_long_for_one_file_is_refused(team: ApiCaller) -> None:
    model_id = register(team, make_folder() | {f"{'a' * 100}/{'b' * 100}.txt": b"long"})
    refused = team.put(f"/models/{model_id}", model_path=f"diffusers/{'c' * 110}/{'d' * 110}")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "model_path")
    assert team.put(f"/models/{model_id}", model_path=f"diffusers/{'c' * 110}/{'d' * 50}").status_code == 200


def test_move_that_is_too_deep_for_a_version_that_is_registered_meanwhile_is_refused(
    shared_registry: Harness, team: ApiCaller
) -> None:
    model_id = register(team, make_folder())
    with pytest.raises(ModelPathRefused):
        move(shared_registry, team, model_id, DEEP, lambda: register(team, DEEPER, replaces=model_id))
    assert get_path(team, model_id) == PATH


def test_move_of_a_folder_that_is_deleted_meanwhile_is_refused(shared_registry: Harness, team: ApiCaller) -> None:
    model_id = register(team, make_folder())
    with pytest.raises(ModelNotFound):
        move(shared_registry, team, model_id, DEEP, lambda: team.delete(f"/models/{model_id}"))


def test_move_of_a_folder_that_is_moved_meanwhile_counts(shared_registry: Harness, team: ApiCaller) -> None:
    model_id = register(team, make_folder())
    move(shared_registry, team, model_id, DEEP, lambda: team.put(f"/models/{model_id}", model_path="diffusers/other"))
    assert get_path(team, model_id) == DEEP


def test_change_of_a_folder_that_names_its_path_again_is_not_measured_at_another_one(team: ApiCaller) -> None:
    # With the path as it is sent, the longest one has 396 bytes; ComfyUI's name of the type has twelve more.
    folder, files = f"unet/{'c' * 120}/{'d' * 120}", make_folder()
    name = "/".join(["a" * 100, "b" * (396 - len(f"{folder}/") - 101 - len(".txt"))]) + ".txt"
    model_id = register(team, files | {name: b"long"}, folder)
    named = team.put(f"/models/{model_id}", model_path=get_path(team, model_id), tags=["ink"])
    assert (named.status_code, team.get(f"/models/{model_id}").json()["tags"]) == (200, ["ink"])


def test_move_by_a_member_who_becomes_a_viewer_meanwhile_is_refused(shared_registry: Harness, team: ApiCaller) -> None:
    member = shared_registry.create_member("member", team)
    model_id = register(member, make_folder())
    with pytest.raises(RoleTooLow):
        move(
            shared_registry,
            member,
            model_id,
            DEEP,
            lambda: team.put(f"/members/{member.user_id}", member_role="viewer"),
        )
    assert get_path(team, model_id) == PATH
