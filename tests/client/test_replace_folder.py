"""Folders that are replaced by folder models, which are pulled from a real registry."""

import asyncio
from pathlib import Path

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.folders.replacing import find_known_contents, replace_folder
from modelyard.transfer.errors import OtherFilesInFolder, TargetExists
from modelyard.transfer.progress import ignore_progress
from modelyard.wire.models import Model
from tests.client.model_files import write_model_file
from tests.client.model_folders import pull, push, read_folder, write_model_folder

pytestmark = pytest.mark.slow


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "source" / "tiny")


@pytest.fixture
async def tiny(registry: RegistryApi, settings: ClientSettings, source: Path) -> Model:
    return await push(registry, settings, source)


async def test_pull_with_replace_over_folder_that_is_no_version_keeps_it_beside(
    registry: RegistryApi, tiny: Model, source: Path, tmp_path: Path
) -> None:
    """A data set of pictures and captions has only files that a model may have."""
    target = await asyncio.to_thread(write_model_folder, tmp_path / "here" / "tiny", "other")
    await asyncio.to_thread((target / "empty").mkdir)
    before = await asyncio.to_thread(read_folder, target)
    with pytest.raises(TargetExists):
        await pull(registry, tiny, target.parent)
    assert await asyncio.to_thread(read_folder, target) == before
    pulled = await pull(registry, tiny, target.parent, replace=True)
    assert await asyncio.to_thread(read_folder, target) == await asyncio.to_thread(read_folder, source)
    assert pulled.kept is not None
    assert await asyncio.to_thread(read_folder, pulled.kept) == before
    assert await asyncio.to_thread((pulled.kept / "empty").is_dir)
    assert await asyncio.to_thread(lambda: set(target.parent.iterdir())) == {target, pulled.kept}


async def test_pull_with_replace_over_earlier_version_deletes_it(
    registry: RegistryApi, settings: ClientSettings, tiny: Model, source: Path, tmp_path: Path
) -> None:
    await pull(registry, tiny, tmp_path / "here")
    await asyncio.to_thread(write_model_file, source / "vae" / "model.safetensors")
    second = await push(registry, settings, source)
    pulled = await pull(registry, second, tmp_path / "here", replace=True)
    assert (pulled.outcome, pulled.kept) == ("pulled", None)
    assert await asyncio.to_thread(read_folder, pulled.file) == await asyncio.to_thread(read_folder, source)
    assert await asyncio.to_thread(lambda: list((tmp_path / "here").iterdir())) == [pulled.file]


@pytest.mark.parametrize("change", ["written", "empty folder", "empty file", "link"])
async def test_find_known_contents_of_changed_version_returns_none(
    registry: RegistryApi, tiny: Model, source: Path, tmp_path: Path, change: str
) -> None:
    config = source / "unet" / "config.json"
    assert await find_known_contents(registry, tiny, source, ignore_progress) is not None

    def make() -> None:
        if change == "written":
            config.write_text(config.read_text().swapcase())
        elif change == "empty folder":
            (source / "vae").mkdir()
        elif change == "empty file":
            (source / "notes.txt").touch()
        else:
            config.rename(tmp_path / "config.json")
            config.symlink_to(tmp_path / "config.json")

    await asyncio.to_thread(make)
    assert await find_known_contents(registry, tiny, source, ignore_progress) is None


@pytest.mark.parametrize("change", ["added", "written"])
async def test_replace_folder_that_changed_since_it_was_read_keeps_it(
    registry: RegistryApi, tiny: Model, source: Path, tmp_path: Path, change: str
) -> None:
    known = await find_known_contents(registry, tiny, source, ignore_progress)
    assert known is not None
    new = await asyncio.to_thread(write_model_folder, tmp_path / "source" / ".tiny.part", "new")
    file = source / "unet" / ("added.txt" if change == "added" else "config.json")
    await asyncio.to_thread(file.write_text, "of the user")
    before = await asyncio.to_thread(read_folder, source)
    kept = await asyncio.to_thread(replace_folder, new, source, known)
    assert kept is not None
    assert await asyncio.to_thread(read_folder, kept) == before


@pytest.mark.parametrize("name", ["train.py", ".DS_Store", ".git/config", ".thumbs/a.png"])
async def test_pull_with_replace_over_folder_that_is_no_model_raises_other_files_in_folder(
    registry: RegistryApi, tiny: Model, tmp_path: Path, name: str
) -> None:
    own = tmp_path / "here" / "tiny" / name
    await asyncio.to_thread(own.parent.mkdir, parents=True)
    await asyncio.to_thread(own.write_text, "of the user")
    with pytest.raises(OtherFilesInFolder):
        await pull(registry, tiny, tmp_path / "here", replace=True)
    assert await asyncio.to_thread(read_folder, tmp_path / "here") == {f"tiny/{name}": b"of the user"}


@pytest.mark.parametrize("kind", ["file", "link"])
async def test_pull_with_replace_over_file_or_link_raises_target_exists(
    registry: RegistryApi, tiny: Model, tmp_path: Path, kind: str
) -> None:
    target, other = tmp_path / "here" / "tiny", tmp_path / "other"

    def make() -> None:
        target.parent.mkdir()
        other.mkdir()
        if kind == "file":
            target.write_text("of the user")
        else:
            target.symlink_to(other)

    await asyncio.to_thread(make)
    with pytest.raises(TargetExists):
        await pull(registry, tiny, target.parent, replace=True)
    assert await asyncio.to_thread(lambda: list(other.iterdir())) == []
