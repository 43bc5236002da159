"""Folder models that are pulled from a real registry."""

import asyncio
import shutil
import threading
from pathlib import Path

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.atomic_file import locked
from modelyard.client.resolve_models import find_model_version
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.folders.pull import check_is_manifest_of
from modelyard.client.transfers.pull import Destination, Pulled, PullOptions, pull_all, pull_folder
from modelyard.transfer.errors import BadResponse, TargetExists
from modelyard.transfer.folder_placement import place_folder
from modelyard.transfer.options import BandwidthLimit, TransferOptions
from modelyard.transfer.progress import ProgressEvent, Received
from modelyard.wire.folders.manifest import FolderFile, build_manifest, get_file_hash
from modelyard.wire.folders.names import FolderInvalid
from modelyard.wire.models import Model
from tests.client.model_files import write_model_file
from tests.client.model_folders import pull, push, read_folder, write_model_folder
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "source" / "tiny")


@pytest.fixture
async def tiny(registry: RegistryApi, settings: ClientSettings, source: Path) -> Model:
    return await push(registry, settings, source)


async def test_pull_folder_places_equal_files_and_leaves_nothing_else(
    registry: RegistryApi, tiny: Model, source: Path, tmp_path: Path
) -> None:
    events: list[ProgressEvent] = []
    target = tmp_path / "new" / "diffusers" / "tiny"
    results = await pull_all(registry, [tiny], Destination(tmp_path / "new", tree=True), events.append, lambda _: None)
    assert results == [Pulled(tiny, target, "pulled")]
    assert await asyncio.to_thread(read_folder, target) == await asyncio.to_thread(read_folder, source)
    assert await asyncio.to_thread(lambda: [each.name for each in target.parent.iterdir()]) == ["tiny"]
    received = [event for event in events if isinstance(event, Received)]
    assert {event.path for event in received} == {target}
    assert (received[-1].done, received[-1].total) == (tiny.total_size, tiny.total_size)


async def test_pull_folder_that_is_there_downloads_nothing_and_keeps_hidden_files(
    registry: RegistryApi, tiny: Model, tmp_path: Path
) -> None:
    await pull(registry, tiny, tmp_path)
    own = tmp_path / "tiny" / ".DS_Store"
    await asyncio.to_thread(own.write_text, "of the user")
    again = await pull(registry, tiny, tmp_path, replace=True)
    assert again.outcome == "already here"
    assert await asyncio.to_thread(own.read_text) == "of the user"


async def test_pull_earlier_version_of_folder_gets_its_files(
    registry: RegistryApi, settings: ClientSettings, tiny: Model, source: Path, tmp_path: Path
) -> None:
    earlier = await asyncio.to_thread(read_folder, source)
    await asyncio.to_thread(write_model_file, source / "vae" / "model.safetensors")
    assert (await push(registry, settings, source)).version == 2
    first = await find_model_version(registry, "tiny@1")
    assert (first.file_count, first.total_size) == (4, tiny.total_size)
    await pull(registry, first, tmp_path)
    assert await asyncio.to_thread(read_folder, tmp_path / "tiny") == earlier


async def test_cancelled_pull_that_places_the_folder_ends_when_it_is_whole(
    registry: RegistryApi, tiny: Model, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process holds the lock, so this one removes its own folder at the end."""
    is_placing, may_place = threading.Event(), threading.Event()

    def place_later(folder: Path, target: Path) -> None:
        is_placing.set()
        assert may_place.wait(PATIENCE_SECONDS)
        place_folder(folder, target)

    monkeypatch.setattr("modelyard.client.transfers.folders.pull.place_folder", place_later)
    async with locked(tmp_path / f".tiny.{tiny.file_hash[7:19]}.lock", wait_seconds=0) as is_locked:
        assert is_locked
        task = asyncio.create_task(pull(registry, tiny, tmp_path))
        assert await asyncio.to_thread(is_placing.wait, PATIENCE_SECONDS)
        task.cancel()
        # Without the wait for the thread, the files are removed now, also in threads.
        for _ in range(100):
            await asyncio.to_thread(read_folder, source)
        assert not task.done()
        may_place.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await asyncio.to_thread(read_folder, tmp_path / "tiny") == await asyncio.to_thread(read_folder, source)


async def test_pull_folder_after_cancelled_pull_downloads_only_what_is_missing(
    registry: RegistryApi, settings: ClientSettings, source: Path, tmp_path: Path
) -> None:
    await asyncio.to_thread(write_model_file, source / "vae" / "model.safetensors", 10_000_000)
    model = await push(registry, settings, source)
    size = model.total_size or 0

    def report(event: ProgressEvent) -> None:
        if isinstance(event, Received) and event.done > size / 2:
            task.cancel()

    slow = PullOptions(TransferOptions(bandwidth_limit=BandwidthLimit(5_000_000)))
    task = asyncio.create_task(pull_folder(registry, model, Destination(tmp_path), report, slow))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await asyncio.to_thread((tmp_path / "tiny").exists)
    (partial,) = await asyncio.to_thread(lambda: list(tmp_path.glob(".tiny.*.part")))
    await asyncio.to_thread((partial / "stray.txt").write_text, "of an earlier run")

    events: list[ProgressEvent] = []
    await pull_folder(registry, model, Destination(tmp_path), events.append)
    assert await asyncio.to_thread(read_folder, tmp_path / "tiny") == await asyncio.to_thread(read_folder, source)
    assert not await asyncio.to_thread(lambda: list(tmp_path.glob(".tiny.*")))
    received = [event for event in events if isinstance(event, Received)]
    # The small files are there, and parts of the large one were received before.
    assert max(event.total for event in received) < size
    assert min(event.done for event in received) > 1_000_000


async def test_two_pulls_of_a_folder_at_the_same_time_both_succeed(
    registry: RegistryApi, tiny: Model, source: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    await asyncio.gather(*(pull(registry, tiny, folder) for _ in range(2)))
    assert await asyncio.to_thread(read_folder, folder / "tiny") == await asyncio.to_thread(read_folder, source)
    assert await asyncio.to_thread(lambda: [each.name for each in folder.iterdir()]) == ["tiny"]


def list_files(model_path: str = "../up") -> list[FolderFile]:
    return [FolderFile(model_path, "0" * 64, 1)]


async def test_pull_folder_whose_list_has_another_hash_raises_bad_response_and_writes_nothing(
    registry: RegistryApi, tiny: Model, tmp_path: Path
) -> None:
    other = tiny.model_copy(update={"file_hash": get_file_hash(b"other")})
    with pytest.raises(BadResponse):
        await pull(registry, other, tmp_path / "new")
    assert await asyncio.to_thread(lambda: list((tmp_path / "new").iterdir())) == []


@pytest.mark.parametrize("path", ["../up.json", "/etc/x.json", "a//b.json", "run.py"])
async def test_check_is_manifest_of_unsafe_path_raises_folder_invalid(tiny: Model, path: str) -> None:
    files = list_files(path)
    lying = tiny.model_copy(update={"file_hash": get_file_hash(build_manifest(files))})
    with pytest.raises(FolderInvalid):
        check_is_manifest_of(lying, files)


async def test_pull_folder_with_parts_replaced_by_a_link_raises_target_exists(
    registry: RegistryApi, tiny: Model, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    await asyncio.to_thread(other.mkdir)
    partial = tmp_path / f".tiny.{tiny.file_hash[7:19]}.part"
    await asyncio.to_thread(partial.symlink_to, other)
    with pytest.raises(TargetExists):
        await pull(registry, tiny, tmp_path)
    assert await asyncio.to_thread(lambda: list(other.iterdir())) == []
    await asyncio.to_thread(shutil.rmtree, other)
