"""Files that are pushed to a real registry: what is sent, registered and refused, and what a later push resumes."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.batch import push_all
from modelyard.client.transfers.push import PreparedPush, Pusher, PushOptions
from modelyard.client.transfers.push_results import PushEvent, PushFailed, PushResult
from modelyard.client.transfers.resume_store import ResumeRecord, ResumeStore
from modelyard.transfer.limited_transfer import LimitedTransfer
from modelyard.transfer.limiter import Limiter
from modelyard.transfer.options import BandwidthLimit, TransferOptions
from modelyard.transfer.progress import Resumed, Sent
from modelyard.wire import problems
from modelyard.wire.teams import TeamUpdate
from tests.client.model_files import write_model_file, write_refused_file
from tests.client.pushed_models import build_request, count_sent_bytes
from tests.server.inspection.builders import build_tensorless_checkpoint, call, named, text
from tests.transfer.limits import LiftableLimit
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

# The test registry splits files above 8 MB into parts of 5 MiB.
FIVE_PARTS = 25_000_000


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


def test_push_request_path_key_is_equal_for_two_spellings_of_path(tmp_path: Path) -> None:
    request = build_request(tmp_path / "a", "models/loras/Ink.safetensors")
    assert request.path_key == dataclasses.replace(request, model_path="loras/ink.safetensors").path_key
