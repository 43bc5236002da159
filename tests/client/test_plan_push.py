"""Dry runs of pushes: what each file would do, without sending it."""

from pathlib import Path

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import Notes, PushRequest
from modelyard.client.transfers.dry_run import plan_push
from modelyard.client.transfers.push import Pusher
from tests.client import model_folders
from tests.client.model_files import write_model_file
from tests.client.pushed_models import build_request

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["absent", "folder"])
async def test_plan_push_of_unreadable_file_plans_the_others(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path, kind: str
) -> None:
    unreadable = tmp_path / "a.safetensors"
    if kind == "folder":
        unreadable.mkdir()
    ink = write_model_file(tmp_path / "ink.safetensors")
    plan = await plan_push(
        registry, settings, [build_request(unreadable), build_request(ink, "models/loras/b.safetensors")]
    )
    assert [entry.action for entry in plan.entries] == ["push"]
    assert [(each.file, isinstance(each.error, OSError)) for each in plan.unreadable] == [(unreadable, True)]


async def test_plan_push_to_the_path_of_a_folder_is_refused(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path
) -> None:
    model = await model_folders.push(registry, settings, model_folders.write_model_folder(tmp_path / "tiny"))
    file = write_model_file(tmp_path / "tiny.safetensors")
    request = PushRequest(file, model.model_type, model.model_path, None, Notes(), True)
    [entry] = (await plan_push(registry, settings, [request])).entries
    assert (entry.action, entry.is_refused) == ("be refused (a model of many files is there)", True)


async def test_plan_push_returns_action_for_each_file_and_changes_nothing(
    pusher: Pusher, registry: RegistryApi, settings: ClientSettings, tmp_path: Path
) -> None:
    ink = write_model_file(tmp_path / "ink.safetensors")
    await pusher.push(build_request(ink))
    other = write_model_file(tmp_path / "other.safetensors", seed=2)
    requests = [
        build_request(ink),
        build_request(other),
        build_request(other, replace=True),
        build_request(other, "models/loras/b.safetensors"),
    ]
    plans = (await plan_push(registry, settings, requests)).entries
    assert [plan.action for plan in plans] == [
        "skip (already there)",
        "be refused (other content is there)",
        "upload version 2",
        "push",
    ]
    assert [plan.reason is not None for plan in plans] == [False, True, False, False]
    assert len((await registry.list_models()).model_list) == 1
