"""Folders that are pushed as one model to a real registry."""

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from modelyard.client.api.models import list_all_files
from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import ModelOverrides, Notes, NothingToPush, PushRequest, build_model_request
from modelyard.client.transfers.folders.contents import (
    FolderChanged,
    FolderRequest,
    build_folder_request,
    list_folder,
)
from modelyard.client.transfers.folders.push import plan_folder, push_folder
from modelyard.client.transfers.path_state import OtherKindOfModel
from modelyard.client.transfers.push import Pusher, PushOptions
from modelyard.client.transfers.push_results import PushEvent, PushSucceeded
from modelyard.transfer.options import BandwidthLimit, TransferOptions
from modelyard.transfer.progress import Sent
from modelyard.wire import problems
from modelyard.wire.folders.names import FolderInvalid
from modelyard.wire.models import ModelUpdate
from modelyard.wire.teams import TeamUpdate
from modelyard.wire.uploads import PartsRequest, PartTickets
from tests.client.model_files import write_model_file, write_refused_file
from tests.client.model_folders import TINY_FILES, write_model_folder
from tests.client.pushed_models import count_sent_bytes
from tests.client.server_process import Team
from tests.transfer.limits import LiftableLimit
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

# The test registry splits files above 8 MB into parts of 5 MiB.
FIVE_PARTS = 25_000_000
PART = 5 * 1024**2


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "tiny")


def build_request(folder: Path, *, replace: bool = False) -> FolderRequest:
    return build_folder_request(build_model_request(folder, ModelOverrides("diffusers", replace=replace)))


async def push(
    registry: RegistryApi,
    settings: ClientSettings,
    folder: Path,
    report: Callable[[PushEvent], None] = lambda _: None,
    *,
    replace: bool = False,
) -> PushSucceeded:
    request = await asyncio.to_thread(build_request, folder, replace=replace)
    return await push_folder(registry, settings, request, report)


async def test_push_folder_registers_one_verified_model_with_its_files(
    registry: RegistryApi, settings: ClientSettings, tiny: Path, events: list[PushEvent]
) -> None:
    pushed = await push(registry, settings, tiny, events.append)
    model, size = pushed.model, (await asyncio.to_thread(list_folder, tiny)).total_size
    assert (pushed.outcome, model.model_path, model.display_name) == ("registered", "models/diffusers/tiny", "tiny")
    assert (model.verification, model.is_folder, model.file_count, model.total_size) == ("verified", True, 4, size)
    assert [file.path for file in await list_all_files(registry, model.id)] == TINY_FILES
    assert {event.path for event in events} == {tiny}
    assert count_sent_bytes(events) > size  # and the manifest
    version = await registry.get_version(model.id, 1)
    assert (version.total_size, version.file_count) == (size, 4)


async def test_push_same_folder_again_sends_nothing(
    registry: RegistryApi, settings: ClientSettings, tiny: Path, events: list[PushEvent]
) -> None:
    first = await push(registry, settings, tiny)
    again = await push(registry, settings, tiny, events.append)
    assert (again.outcome, again.model.id, again.size) == ("already there", first.model.id, first.size)
    assert count_sent_bytes(events) == 0


async def test_push_folder_sends_equal_files_once_and_known_files_not(
    registry: RegistryApi, settings: ClientSettings, tiny: Path, tmp_path: Path, events: list[PushEvent]
) -> None:
    await push(registry, settings, tiny)
    other = write_model_folder(tmp_path / "other")
    for name in ("a", "b"):
        write_model_file(other / name / "model.safetensors", 5000, seed=9)
    pushed = await push(registry, settings, other, events.append)
    assert pushed.model.file_count == 6
    size = (other / "a" / "model.safetensors").stat().st_size
    assert size <= count_sent_bytes(events) < 2 * size


async def test_push_changed_folder_needs_replace_and_becomes_next_version(
    registry: RegistryApi, settings: ClientSettings, tiny: Path
) -> None:
    first = await push(registry, settings, tiny)
    write_model_file(tiny / "vae" / "model.safetensors", seed=7)
    with pytest.raises(problems.ModelPathTaken):
        await push(registry, settings, tiny)
    plan = await plan_folder(registry, settings, await asyncio.to_thread(build_request, tiny, replace=True))
    assert (plan.action, plan.is_refused) == ("upload version 2", False)
    pushed = await push(registry, settings, tiny, replace=True)
    assert (pushed.outcome, pushed.model.id, pushed.version) == ("new version", first.model.id, 2)
    versions = (await registry.list_versions(first.model.id)).version_list
    assert [each.file_count for each in versions] == [5, 4]


async def test_push_folder_after_cancelled_push_sends_only_what_is_missing(
    registry: RegistryApi, settings: ClientSettings, tiny: Path, events: list[PushEvent]
) -> None:
    small = (await asyncio.to_thread(list_folder, tiny)).total_size
    await asyncio.to_thread(write_model_file, tiny / "vae" / "model.safetensors", FIVE_PARTS)

    def report(event: PushEvent) -> None:
        if isinstance(event, Sent) and event.done > 22_000_000:
            task.cancel()

    options = PushOptions(network=TransferOptions(bandwidth_limit=BandwidthLimit(5_000_000)))
    request = await asyncio.to_thread(build_request, tiny)
    task = asyncio.create_task(push_folder(registry, settings, request, report, options))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await registry.list_models()).model_list == []

    # Slowly too: the progress is reported several times for each part that is sent.
    pushed = await push_folder(registry, settings, request, events.append, options)
    assert (pushed.outcome, pushed.model.verification) == ("registered", "verified")
    sent = [event for event in events if isinstance(event, Sent)]
    # The small files are complete, so they are not sent. One part of the large one at least is stored: the fifth is
    # begun once another is. So the count of sent bytes begins with it.
    assert min(event.total for event in sent) < FIVE_PARTS + small
    assert max(after - before for before, after in pairwise([0, *(event.done for event in sent)])) >= PART
    assert await asyncio.to_thread(lambda: list((settings.state_dir / "uploads").iterdir())) == []


async def push_slowly(
    registry: RegistryApi,
    settings: ClientSettings,
    folder: Path,
    meanwhile: Callable[[], object],
    *,
    replace: bool = False,
) -> None:
    """Push a folder with a file of 3 MB, of which most is sent after ``meanwhile``."""
    await asyncio.to_thread(write_model_file, folder / "vae" / "model.safetensors", 3_000_000)
    is_sending = asyncio.Event()

    def report(event: PushEvent) -> None:
        if isinstance(event, Sent):
            is_sending.set()

    limit = LiftableLimit()
    options = PushOptions(network=TransferOptions(bandwidth_limit=limit))
    request = await asyncio.to_thread(build_request, folder, replace=replace)
    task = asyncio.create_task(push_folder(registry, settings, request, report, options))
    await asyncio.wait_for(is_sending.wait(), PATIENCE_SECONDS)
    await asyncio.to_thread(meanwhile)
    limit.lift()
    await task


async def test_push_folder_version_while_the_model_is_moved_follows_it(
    registry: RegistryApi, settings: ClientSettings, tiny: Path
) -> None:
    first = await push(registry, settings, tiny)
    loop = asyncio.get_running_loop()

    def move() -> None:
        moved = registry.update_model(first.model.id, ModelUpdate(model_path="models/diffusers/moved"))
        asyncio.run_coroutine_threadsafe(moved, loop).result(PATIENCE_SECONDS)

    await push_slowly(registry, settings, tiny, move, replace=True)
    model = await registry.get_model(first.model.id)
    assert (model.model_path, model.version) == ("models/diffusers/moved", 2)


@pytest.mark.parametrize("gone", ["one small file", "all"])
async def test_push_folder_with_uploads_that_the_registry_forgot_sends_them_again(
    registry: RegistryApi, settings: ClientSettings, tiny: Path, events: list[PushEvent], gone: str
) -> None:
    added = tiny / "new.txt"
    with pytest.raises(FolderChanged):
        await push_slowly(registry, settings, tiny, lambda: added.write_text("new"))
    (record,) = await asyncio.to_thread(lambda: list((settings.state_dir / "uploads").glob("*.folder")))
    text = await asyncio.to_thread(record.read_text)
    assert text.count("models/") == 6
    if gone == "all":
        text = text.replace("models/", "models/gone-")
    else:
        small = hashlib.sha256((tiny / "unet" / "config.json").read_bytes()).hexdigest()
        lines = [line.replace("models/", "models/gone-") if small in line else line for line in text.splitlines()]
        text = "\n".join((*lines, ""))
    await asyncio.to_thread(record.write_text, text)
    pushed = await push(registry, settings, tiny, events.append)
    assert (pushed.outcome, pushed.model.file_count) == ("registered", 6)
    assert (count_sent_bytes(events) < 100_000) == (gone != "all")


async def test_push_folder_after_refused_file_sends_only_that_file_again(
    registry: RegistryApi, settings: ClientSettings, tiny: Path, events: list[PushEvent]
) -> None:
    await asyncio.to_thread(write_model_file, tiny / "vae" / "model.safetensors", 100_000)
    weights = tiny / "unet" / "model.safetensors"
    await asyncio.to_thread(write_refused_file, weights)
    with pytest.raises(problems.NotAModelFile):
        await push(registry, settings, tiny)
    await asyncio.to_thread(write_model_file, weights)
    pushed = await push(registry, settings, tiny, events.append)
    assert (pushed.outcome, pushed.model.file_count) == ("registered", 5)
    assert count_sent_bytes(events) < 10_000


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("unet/config.json", '{"auto_map": {"AutoModel": "model.Model"}}'),
        ("unet/model.safetensors", "<!DOCTYPE html><html>Sign in</html>"),
    ],
    ids=["request for code", "page"],
)
async def test_push_folder_with_file_that_is_refused_names_it_before_an_upload_is_requested(
    registry: RegistryApi, settings: ClientSettings, tiny: Path, path: str, content: str
) -> None:
    await registry.update_team(TeamUpdate(quota_bytes=10))  # the request of an upload would be refused for it
    await asyncio.to_thread((tiny / path).write_text, content)
    with pytest.raises(problems.NotAModelFile, match=f"^'{path}'") as refused:
        await push(registry, settings, tiny)
    request = await asyncio.to_thread(build_request, tiny)
    plan = await plan_folder(registry, settings, request)
    assert (plan.is_refused, plan.reason) == (True, refused.value.detail)


class RegistryWithoutMultipart(RegistryApi):
    """A client of a registry that has deleted each upload in parts before a part is sent."""

    async def presign_parts(self, request: PartsRequest) -> PartTickets:
        raise problems.UploadNotFound(f"There is no upload '{request.upload_id}'.")


async def test_push_folder_whose_upload_fails_keeps_the_record_of_complete_ones(
    registry: RegistryApi, team: Team, settings: ClientSettings, tiny: Path
) -> None:
    weights = tiny / "unet" / "model.safetensors"
    await asyncio.to_thread(write_refused_file, weights)
    with pytest.raises(problems.NotAModelFile):
        await push(registry, settings, tiny)
    (record,) = await asyncio.to_thread(lambda: list((settings.state_dir / "uploads").glob("*.folder")))
    before = (await asyncio.to_thread(record.read_text)).splitlines()
    assert before
    await asyncio.to_thread(write_model_file, weights)
    await asyncio.to_thread(write_model_file, tiny / "vae" / "model.safetensors", 2 * PART)
    async with RegistryWithoutMultipart(team.url, team.token, team.id) as without_multipart:
        with pytest.raises(problems.UploadNotFound):
            await push(without_multipart, settings, tiny)
    after = (await asyncio.to_thread(record.read_text)).splitlines()
    assert set(before) <= set(after)
    assert (await push(registry, settings, tiny)).outcome == "registered"


@pytest.mark.parametrize("change", ["added", "removed", "written"])
async def test_push_folder_that_changes_during_the_upload_is_refused_and_registers_nothing(
    registry: RegistryApi, settings: ClientSettings, tiny: Path, change: str
) -> None:
    changes: dict[str, Callable[[], object]] = {
        "added": lambda: (tiny / "new.json").write_text("{}"),
        "removed": (tiny / "unet" / "config.json").unlink,
        "written": lambda: (tiny / "unet" / "config.json").write_text('{"changed": true}'),
    }
    with pytest.raises(FolderChanged, match="Nothing was registered"):
        await push_slowly(registry, settings, tiny, changes[change])
    assert (await registry.list_models()).model_list == []


@pytest.mark.parametrize("change", ["added", "removed", "written"])
async def test_push_folder_that_changed_since_it_was_listed_is_refused_and_sends_nothing(
    registry: RegistryApi, settings: ClientSettings, tiny: Path, events: list[PushEvent], change: str
) -> None:
    request = await asyncio.to_thread(build_request, tiny)
    file = tiny / "unet" / ("new.json" if change == "added" else "config.json")
    await asyncio.to_thread(file.unlink if change == "removed" else lambda: file.write_text("{}"))
    with pytest.raises(FolderChanged, match=file.name):
        await push_folder(registry, settings, request, events.append)
    assert count_sent_bytes(events) == 0


async def test_push_folder_to_model_of_one_file_raises_other_kind_of_model(
    registry: RegistryApi, settings: ClientSettings, tiny: Path, tmp_path: Path, events: list[PushEvent]
) -> None:
    file = write_model_file(tmp_path / "ink.safetensors")
    to_file = PushRequest(file, "loras", "models/loras/ink.safetensors", "Ink", Notes(), replace=True)
    await Pusher(registry, settings, events.append).push(to_file)
    events.clear()
    contents = await asyncio.to_thread(list_folder, tiny)
    request = FolderRequest(dataclasses.replace(to_file, file=tiny), contents)
    with pytest.raises(OtherKindOfModel):
        await push_folder(registry, settings, request, events.append)
    assert count_sent_bytes(events) == 0


def test_list_folder_leaves_out_hidden_and_empty_files(tiny: Path) -> None:
    (tiny / ".gitattributes").write_text("x")
    (tiny / ".cache").mkdir()
    (tiny / ".cache" / "lock.py").write_text("x")
    (tiny / "unet" / "empty.json").touch()
    contents = list_folder(tiny)
    assert [file.path for file in contents.files] == TINY_FILES
    assert {(each.path, each.reason) for each in contents.left_out} == {
        (".gitattributes", "hidden"),
        (".cache", "hidden"),
        ("unet/empty.json", "empty"),
    }


def test_list_folder_follows_links_inside_it_and_refuses_one_to_a_folder_above(tiny: Path) -> None:
    (tiny / "vocab.txt").symlink_to("unet/config.json")
    (tiny / "vae").symlink_to(tiny / "unet")
    contents = list_folder(tiny)
    assert {"vocab.txt", "vae/config.json"} < {file.path for file in contents.files}
    (tiny / "loop").symlink_to(tiny)
    with pytest.raises(FolderInvalid, match="loop"):
        list_folder(tiny)


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../beside", "../tiny-2/notes.txt", "absent", "notes.txt", "unet/up"]
)
def test_list_folder_with_a_link_that_leaves_it_or_leads_nowhere_names_it(tiny: Path, target: str) -> None:
    for folder in ("beside", "tiny-2"):
        (tiny.parent / folder).mkdir()
        (tiny.parent / folder / "notes.txt").write_text("private")
    (tiny / "unet" / "up").symlink_to("../../beside/notes.txt")
    if target != "unet/up":
        (tiny / "unet" / "up").unlink()
    (tiny / "notes.txt").symlink_to(target)
    with pytest.raises(FolderInvalid, match=r"^'notes\.txt' is a link that") as refused:
        list_folder(tiny)
    assert refused.value.path == "notes.txt"


def test_list_folder_of_a_snapshot_of_huggingface_hub_follows_links_to_its_blobs_only(tmp_path: Path) -> None:
    repository = tmp_path / "models--team--tiny"
    snapshot, blobs = repository / "snapshots" / "0123", repository / "blobs"
    for folder in (snapshot, blobs):
        folder.mkdir(parents=True)
    (blobs / "aa").write_bytes(b"content")
    (snapshot / "vocab.txt").symlink_to("../../blobs/aa")
    assert [(file.path, file.identity.size) for file in list_folder(snapshot).files] == [("vocab.txt", 7)]
    (blobs / "bb").symlink_to("/etc/passwd")
    (snapshot / "bb.txt").symlink_to("../../blobs/bb")
    with pytest.raises(FolderInvalid, match=r"^'bb\.txt' is a link that leaves the folder"):
        list_folder(snapshot)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("unet/modeling.py", "is code"),
        ("config.yaml", "may not contain"),
        ("UNET/x.json", "one folder"),
        ("a b?.txt", "letters, digits"),
    ],
)
def test_build_folder_request_with_name_that_is_not_allowed_raises_folder_invalid(
    tiny: Path, path: str, why: str
) -> None:
    (tiny / path).parent.mkdir(exist_ok=True)
    (tiny / path).write_text("x")
    with pytest.raises(FolderInvalid, match=why):
        build_request(tiny)


def test_build_folder_request_with_files_that_differ_by_case_raises_folder_invalid(tiny: Path) -> None:
    (tiny / "readme.md").write_text("x")
    (tiny / "README.md").write_text("y")
    if len(list(tiny.glob("[rR]*.md"))) < 2:
        pytest.skip("the two names are one file on a file system that ignores case, as of macOS and Windows")
    with pytest.raises(FolderInvalid, match="one file on some machines"):
        build_request(tiny)


def test_build_model_request_of_pipeline_needs_no_type(tiny: Path) -> None:
    assert build_model_request(tiny, ModelOverrides()).model_path == "models/diffusers/tiny"


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("ComfyUI/models/diffusers/sd/tiny", "models/diffusers/sd/tiny"),
        ("ComfyUI/models/LLM/tiny", "models/LLM/tiny"),
        ("diffusers/unet/tiny", "models/unet/tiny"),
    ],
)
def test_build_model_request_takes_type_of_folders_above(tmp_path: Path, folder: str, path: str) -> None:
    assert build_model_request(tmp_path / folder, ModelOverrides()).model_path == path


def test_list_folder_without_files_raises_nothing_to_push(tmp_path: Path) -> None:
    with pytest.raises(NothingToPush):
        list_folder(tmp_path)
