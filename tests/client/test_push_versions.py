"""Versions that pushes add to models: replacing, conflicts, failed verification and roll-backs."""

import dataclasses
from pathlib import Path

import pytest

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.paging import Paging
from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import ModelOverrides, build_version_request
from modelyard.client.transfers.moved_models import follow_model
from modelyard.client.transfers.path_state import VersionNotCurrent
from modelyard.client.transfers.push import PreparedPush, Pusher, PushOptions
from modelyard.client.transfers.push_results import PushEvent
from modelyard.client.transfers.verification import find_verified_version
from modelyard.transfer.progress import Sent
from modelyard.wire import problems
from modelyard.wire.models import ModelUpdate
from modelyard.wire.teams import TeamUpdate
from modelyard.wire.uploads import UploadRequest
from tests.client.model_files import write_model_file
from tests.client.pushed_models import build_request, count_sent_bytes
from tests.client.scripted_server import Responses
from tests.server.inspection.builders import (
    build_checkpoint,
    build_tensorless_checkpoint,
    call,
    named,
    table,
    tensor,
    text,
)

pytestmark = pytest.mark.slow


def build_clean_checkpoint(number: int = 1) -> bytes:
    """Build a pickle file that passes the scan; each number gives another content."""
    return build_checkpoint(table(**{f"w{number}": tensor("0", 4), "b": tensor("1", 2, kind="HalfStorage")}))


@pytest.mark.parametrize("size", [1000, 1001])
async def test_push_with_replace_adds_verified_version_to_model_at_same_path(
    pusher: Pusher, registry: RegistryApi, tmp_path: Path, size: int
) -> None:
    """With equal sizes, as of a LoRA that was trained again, the file is hashed before the registry is called."""
    first = await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors", 1000)))
    new = write_model_file(tmp_path / "new.safetensors", size, seed=2)
    pushed = await pusher.push(build_request(new, replace=True, note="Trained again."))
    assert (pushed.outcome, pushed.version, pushed.version_status) == ("new version", 2, "current")
    assert (await registry.get_version(first.model.id, 2)).note == "Trained again."
    models = (await registry.list_models()).model_list
    assert [model.id for model in models] == [first.model.id]
    assert models[0].file_hash != first.model.file_hash


async def test_push_version_without_display_name_keeps_name_of_model(pusher: Pusher, tmp_path: Path) -> None:
    await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors")))
    new = dataclasses.replace(build_request(write_model_file(tmp_path / "v2.safetensors", seed=2)), display_name=None)
    pushed = await pusher.push(dataclasses.replace(new, replace=True))
    assert pushed.model.display_name == "ink"


async def test_push_version_while_the_model_is_renamed_keeps_the_new_name(
    pusher: Pusher, registry: RegistryApi, tmp_path: Path
) -> None:
    first = await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors")))
    new = dataclasses.replace(build_request(write_model_file(tmp_path / "v2.safetensors", seed=2)), display_name=None)
    prepared = await pusher.prepare(await pusher.identify(dataclasses.replace(new, replace=True)))
    assert isinstance(prepared, PreparedPush)
    await registry.update_model(first.model.id, ModelUpdate(display_name="renamed meanwhile"))
    pushed = await pusher.deliver(prepared)
    assert (pushed.version, pushed.model.display_name) == (2, "renamed meanwhile")


async def test_push_version_while_the_model_is_moved_follows_it_without_sending_again(
    pusher: Pusher, registry: RegistryApi, events: list[PushEvent], tmp_path: Path
) -> None:
    first = await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors")))
    new = build_request(write_model_file(tmp_path / "v2.safetensors", 2000, seed=2), replace=True)
    prepared = await pusher.prepare(await pusher.identify(new))
    assert isinstance(prepared, PreparedPush)
    moved = ModelUpdate(model_type="checkpoints", model_path="models/checkpoints/moved.safetensors")
    await registry.update_model(first.model.id, moved)
    events.clear()
    pushed = await pusher.deliver(prepared)
    assert (pushed.model.id, pushed.version) == (first.model.id, 2)
    assert pushed.model.model_path == "models/checkpoints/moved.safetensors"
    assert [event.done for event in events if isinstance(event, Sent) and event.done == event.total] == [pushed.size]


async def test_presign_version_of_an_unknown_type_follows_the_model_to_its_corrected_type(
    pusher: Pusher, registry: RegistryApi, tmp_path: Path
) -> None:
    first = await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors")))
    request = UploadRequest(
        file_name="v2.safetensors",
        file_size=1000,
        model_type="lora",
        model_path="models/lora/ink.safetensors",
        replaces=first.model.id,
    )
    with pytest.raises(problems.ModelTypeUnknown):
        await registry.presign_upload(request)
    assert (await follow_model(registry, request, registry.presign_upload)).storage_key


async def test_push_to_chosen_model_that_was_moved_before_the_checks_makes_its_next_version(
    pusher: Pusher, registry: RegistryApi, tmp_path: Path
) -> None:
    first = await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors")))
    new = write_model_file(tmp_path / "v2.safetensors", seed=2)
    request = build_version_request(new, first.model, ModelOverrides())
    await registry.update_model(first.model.id, ModelUpdate(model_path="models/loras/moved.safetensors"))
    pushed = await pusher.push(request)
    assert (pushed.model.id, pushed.version) == (first.model.id, 2)
    assert (pushed.model.model_path, pushed.ignored) == ("models/loras/moved.safetensors", [])


async def test_push_version_after_newer_one_of_other_user_raises_version_conflict_with_facts(
    pusher: Pusher, tmp_path: Path
) -> None:
    first = await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors")))
    prepared = await pusher.prepare(
        await pusher.identify(build_request(write_model_file(tmp_path / "a.safetensors", seed=2), replace=True))
    )
    assert isinstance(prepared, PreparedPush)
    await pusher.push(build_request(write_model_file(tmp_path / "b.safetensors", seed=3), replace=True))
    with pytest.raises(problems.VersionConflict) as refused:
        await pusher.deliver(prepared)
    assert refused.value.facts["model_id"] == str(first.model.id)
    assert refused.value.facts["version"] == 2


async def test_push_version_that_fails_verification_raises_reason_and_keeps_current_version(
    pusher: Pusher, registry: RegistryApi, tmp_path: Path
) -> None:
    """The registry inspects pickle files only after registration."""
    await registry.update_team(TeamUpdate(pickle_policy="scan"))
    path = "models/checkpoints/old.pt"
    (tmp_path / "clean.pt").write_bytes(build_clean_checkpoint())
    first = await pusher.push(build_request(tmp_path / "clean.pt", path))
    (tmp_path / "unsafe.pt").write_bytes(build_tensorless_checkpoint(call(named("os", "system"), text("true"))))
    with pytest.raises(problems.NotAModelFile) as refused:
        await pusher.push(build_request(tmp_path / "unsafe.pt", path, replace=True))
    assert refused.value.detail.startswith("This file names 'os.system'")
    assert refused.value.detail.endswith("Version 1 stays the current one.")
    assert refused.value.facts["version"] == 2
    model = await registry.get_model(first.model.id)
    assert (model.version, model.file_hash) == (1, first.model.file_hash)
    with pytest.raises(problems.NotAModelFile) as refused_again:
        await pusher.push(build_request(tmp_path / "unsafe.pt", path))
    assert refused_again.value.facts["version"] == 2


async def test_push_without_waiting_returns_pending_version_and_repeated_push_waits_for_it(
    registry: RegistryApi, settings: ClientSettings, pusher: Pusher, tmp_path: Path
) -> None:
    await registry.update_team(TeamUpdate(pickle_policy="scan"))
    path = "models/checkpoints/old.pt"
    for number in (1, 2):
        (tmp_path / f"{number}.pt").write_bytes(build_clean_checkpoint(number))
    await pusher.push(build_request(tmp_path / "1.pt", path))
    hasty = Pusher(registry, settings, lambda _: None, PushOptions(wait=False))
    pending = await hasty.push(build_request(tmp_path / "2.pt", path, replace=True))
    assert (pending.outcome, pending.version) == ("new version", 2)
    again = await pusher.push(build_request(tmp_path / "2.pt", path))
    assert (again.outcome, again.version_status, again.model.version) == ("already there", "current", 2)


async def test_find_verified_version_ends_when_the_inspection_has_failed_in_the_registry(
    pusher: Pusher, registry: RegistryApi, tmp_path: Path, responses: Responses, url: str
) -> None:
    model = (await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors")))).model
    reason = {"verification": "pending", "verification_error": "Its inspection failed."}
    pending = model.model_copy(update={"verification": "pending", "version_count": 2})
    listed = await registry.list_versions(model.id, Paging())
    responses.add(200, (model.model_copy(update=reason)).model_dump(mode="json"))
    responses.add(
        200,
        {
            **listed.model_dump(mode="json"),
            "version_list": [version.model_dump(mode="json") | reason for version in listed.version_list],
        },
    )
    async with RegistryApi(url, "sk-x") as scripted:
        with pytest.raises(problems.ModelNotVerified, match="Its inspection failed"):
            await find_verified_version(BatchedCalls(scripted), pending, model.file_hash, lambda: None)


async def test_push_newest_content_after_rollback_raises_version_not_current(
    pusher: Pusher, registry: RegistryApi, tmp_path: Path
) -> None:
    first = await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors")))
    new = write_model_file(tmp_path / "new.safetensors", seed=2)
    await pusher.push(build_request(new, replace=True))
    await registry.activate_version(first.model.id, 1)
    with pytest.raises(VersionNotCurrent) as refused:
        await pusher.push(build_request(new, replace=True))
    assert (refused.value.model_id, refused.value.version) == (first.model.id, 2)


async def test_push_earlier_content_with_replace_adds_version_without_sending(
    pusher: Pusher, tmp_path: Path, events: list[PushEvent]
) -> None:
    old = write_model_file(tmp_path / "ink.safetensors")
    await pusher.push(build_request(old))
    await pusher.push(build_request(write_model_file(tmp_path / "new.safetensors", seed=2), replace=True))
    events.clear()
    pushed = await pusher.push(build_request(old, replace=True))
    assert (pushed.outcome, pushed.model.version) == ("new version", 3)
    assert count_sent_bytes(events) == 0
