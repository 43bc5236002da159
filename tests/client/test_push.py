import asyncio
import dataclasses
from pathlib import Path

import pytest

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.paging import Paging
from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.batch import push_all
from modelyard.client.transfers.collect import Notes, PushRequest
from modelyard.client.transfers.dry_run import plan_push
from modelyard.client.transfers.path_state import VersionNotCurrent
from modelyard.client.transfers.push import PreparedPush, Pusher, PushEvent, PushFailed, PushOptions, PushResult
from modelyard.client.transfers.resume_store import ResumeRecord, ResumeStore
from modelyard.client.transfers.verification import find_verified_version
from modelyard.transfer.limited_transfer import LimitedTransfer
from modelyard.transfer.limiter import Limiter
from modelyard.transfer.options import BandwidthLimit, TransferOptions
from modelyard.transfer.progress import Resumed, Sent
from modelyard.wire import problems
from modelyard.wire.models import ModelUpdate
from modelyard.wire.teams import TeamUpdate
from tests.client import model_folders
from tests.client.model_files import write_model_file, write_refused_file
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
from tests.transfer.limits import LiftableLimit
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

# The test registry splits files above 8 MB into parts of 5 MiB.
FIVE_PARTS = 25_000_000


def build_request(
    file: Path, path: str = "models/loras/ink.safetensors", *, replace: bool = False, note: str | None = None
) -> PushRequest:
    return PushRequest(file, path.split("/")[1], path, file.stem, Notes(tags=["portrait"]), replace, note)


@pytest.fixture
def events() -> list[PushEvent]:
    return []


@pytest.fixture
def pusher(registry: RegistryApi, settings: ClientSettings, events: list[PushEvent]) -> Pusher:
    return Pusher(registry, settings, events.append)


def build_clean_checkpoint(number: int = 1) -> bytes:
    """Build a pickle file that passes the scan; each number gives another content."""
    return build_checkpoint(table(**{f"w{number}": tensor("0", 4), "b": tensor("1", 2, kind="HalfStorage")}))


def count_sent_bytes(events: list[PushEvent]) -> int:
    return max((event.done for event in events if isinstance(event, Sent)), default=0)


async def test_push_new_file_sends_it_and_returns_verified_model(
    pusher: Pusher, tmp_path: Path, events: list[PushEvent]
) -> None:
    file = write_model_file(tmp_path / "ink.safetensors")
    pushed = await pusher.push(build_request(file))
    assert pushed.outcome == "registered"
    assert (pushed.model.verification, pushed.model.tags, pushed.model.display_name) == (
        "verified",
        ["portrait"],
        "ink",
    )
    assert count_sent_bytes(events) == file.stat().st_size


async def test_push_same_file_again_sends_nothing_and_returns_same_model(
    pusher: Pusher, tmp_path: Path, events: list[PushEvent]
) -> None:
    file = write_model_file(tmp_path / "ink.safetensors")
    first = await pusher.push(build_request(file))
    events.clear()
    again = await pusher.push(build_request(file))
    assert again.outcome == "already there"
    assert (again.model.id, again.model.version_count) == (first.model.id, 1)
    assert count_sent_bytes(events) == 0


@pytest.mark.parametrize("size", [1000, FIVE_PARTS])
async def test_push_content_stored_at_other_path_registers_without_sending(
    pusher: Pusher, tmp_path: Path, events: list[PushEvent], size: int
) -> None:
    await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors", size)))
    events.clear()
    pushed = await pusher.push(
        build_request(write_model_file(tmp_path / "copy.safetensors", size), "models/loras/copy.safetensors")
    )
    assert pushed.outcome == "registered"
    assert count_sent_bytes(events) == 0


@pytest.mark.parametrize("size", [1000, 1001])
async def test_push_to_path_of_other_model_raises_path_taken_without_sending(
    pusher: Pusher, tmp_path: Path, events: list[PushEvent], size: int
) -> None:
    first = await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors", 1000)))
    events.clear()
    other = write_model_file(tmp_path / "other.safetensors", size, seed=2)
    with pytest.raises(problems.ModelPathTaken) as refused:
        await pusher.push(build_request(other, "models/loras/INK.safetensors"))
    assert refused.value.facts.items() >= {"model_id": str(first.model.id), "version": 1}.items()
    assert count_sent_bytes(events) == 0


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


async def test_push_file_over_quota_raises_quota_exceeded_without_sending(
    pusher: Pusher, registry: RegistryApi, tmp_path: Path, events: list[PushEvent]
) -> None:
    await registry.update_team(TeamUpdate(quota_bytes=500))
    with pytest.raises(problems.QuotaExceeded):
        await pusher.push(build_request(write_model_file(tmp_path / "ink.safetensors")))
    assert count_sent_bytes(events) == 0


async def test_push_html_page_is_refused_before_an_upload_is_requested(
    pusher: Pusher, registry: RegistryApi, tmp_path: Path
) -> None:
    await registry.update_team(TeamUpdate(quota_bytes=10))  # the request of an upload would be refused for it
    file = tmp_path / "ink.safetensors"
    file.write_text("<!DOCTYPE html><html>Sign in first</html>")
    with pytest.raises(problems.NotAModelFile):
        await pusher.push(build_request(file))


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


async def test_push_unsafe_pickle_waits_for_scan_and_raises_not_a_model_file_with_reason(
    pusher: Pusher, registry: RegistryApi, tmp_path: Path
) -> None:
    await registry.update_team(TeamUpdate(pickle_policy="scan"))
    file = tmp_path / "old.pt"
    file.write_bytes(build_tensorless_checkpoint(call(named("os", "system"), text("true"))))
    with pytest.raises(problems.NotAModelFile) as refused:
        await pusher.push(build_request(file, "models/checkpoints/old.pt"))
    assert refused.value.detail.startswith("This file names 'os.system'")
    assert refused.value.facts["found"] == "unsafe pickle"


async def test_push_after_cancelled_push_sends_only_missing_parts(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path, events: list[PushEvent]
) -> None:
    file = write_model_file(tmp_path / "ink.safetensors", FIVE_PARTS)

    def report(event: PushEvent) -> None:
        if isinstance(event, Sent) and event.done > 22_000_000:
            task.cancel()

    # One request at a time, so four parts are complete when the fifth begins.
    one_by_one = LimitedTransfer(Limiter(1), remaining=0)
    network = TransferOptions(bandwidth_limit=BandwidthLimit(5_000_000), limited_transfer=one_by_one)
    slow = Pusher(registry, settings, report, PushOptions(network=network))
    task = asyncio.create_task(slow.push(build_request(file)))
    with pytest.raises(asyncio.CancelledError):
        await task

    pushed = await Pusher(registry, settings, events.append).push(build_request(file))
    assert pushed.outcome == "registered"
    resumed_bytes = next(event.kept for event in events if isinstance(event, Resumed))
    assert resumed_bytes >= 4 * 5_242_880
    assert pushed.sent_bytes == pushed.size - resumed_bytes
    assert min(event.done for event in events if isinstance(event, Sent)) >= resumed_bytes
    assert await asyncio.to_thread(lambda: list((settings.state_dir / "uploads").iterdir())) == []


async def test_push_with_resume_record_of_unknown_upload_starts_new_upload(
    registry: RegistryApi, settings: ClientSettings, tmp_path: Path, events: list[PushEvent]
) -> None:
    file = write_model_file(tmp_path / "ink.safetensors", FIVE_PARTS)
    is_sending = asyncio.Event()

    def report(event: PushEvent) -> None:
        if isinstance(event, Sent):
            is_sending.set()

    slow = Pusher(
        registry,
        settings,
        report,
        PushOptions(network=TransferOptions(bandwidth_limit=LiftableLimit())),
    )
    task = asyncio.create_task(slow.push(build_request(file)))
    await asyncio.wait_for(is_sending.wait(), PATIENCE_SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    resume_store = ResumeStore(settings.state_dir / "uploads")
    (file_of_record,) = await asyncio.to_thread(lambda: list((settings.state_dir / "uploads").glob("*.json")))
    record = await resume_store.find(file_of_record.stem)
    assert record is not None
    unknown_key = record.storage_key[:-4] + "0000"
    await resume_store.save(file_of_record.stem, record.model_copy(update={"storage_key": unknown_key}))

    pushed = await Pusher(registry, settings, events.append).push(build_request(file))
    assert pushed.outcome == "registered"
    assert not [event for event in events if isinstance(event, Resumed)]


async def test_push_that_fails_keeps_resume_record_of_other_process(
    pusher: Pusher, settings: ClientSettings, tmp_path: Path
) -> None:
    file = write_refused_file(tmp_path / "ink.safetensors", FIVE_PARTS)
    prepared = await pusher.prepare(await pusher.identify(build_request(file)))
    assert isinstance(prepared, PreparedPush)
    key, store = prepared.upload.resume_key, ResumeStore(settings.state_dir / "uploads")
    record = ResumeRecord(storage_key="models/other", upload_id="other", part_size=5 * 2**20)
    async with store.lock(key) as is_locked:
        assert is_locked
        await store.save(key, record)
        with pytest.raises(problems.NotAModelFile):
            await pusher.deliver(prepared)
        assert await store.find(key) == record


async def test_push_all_invalid_file_fails_and_other_files_are_registered(pusher: Pusher, tmp_path: Path) -> None:
    (tmp_path / "page.safetensors").write_text("<html></html>" * 10)
    valid = [write_model_file(tmp_path / f"{number}.safetensors", 1000 + number) for number in range(3)]
    files = [valid[0], tmp_path / "page.safetensors", *valid[1:]]
    reported: list[Path] = []

    def report(result: PushResult) -> None:
        reported.append(result.file)

    results = await push_all(pusher, [build_request(file, f"models/loras/{file.name}") for file in files], report)
    assert [isinstance(result, PushFailed) for result in results] == [False, True, False, False]
    assert isinstance(results[1], PushFailed)
    assert isinstance(results[1].error, problems.NotAModelFile)
    assert sorted(reported) == sorted(files)


async def test_push_all_with_unknown_key_raises_unauthenticated(
    settings: ClientSettings, registry: RegistryApi, tmp_path: Path
) -> None:
    file = write_model_file(tmp_path / "ink.safetensors")
    async with RegistryApi(registry.url, "sk-" + "a" * 49) as unknown_caller:
        with pytest.raises(problems.Unauthenticated):
            await push_all(Pusher(unknown_caller, settings, lambda _: None), [build_request(file)], lambda _: None)


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


def test_push_request_path_key_is_equal_for_two_spellings_of_path(tmp_path: Path) -> None:
    request = build_request(tmp_path / "a", "models/loras/Ink.safetensors")
    assert request.path_key == dataclasses.replace(request, model_path="loras/ink.safetensors").path_key
