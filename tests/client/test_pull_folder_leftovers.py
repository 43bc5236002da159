"""What killed pulls of folder models left beside them, and parts that an interrupted one left."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.atomic_file import locked
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.folders.contents import FolderContents, LocalFile
from modelyard.client.transfers.folders.partial_folder import open_partial_folder
from modelyard.client.transfers.folders.pull import FolderTarget, compute_missing_bytes
from modelyard.client.transfers.folders.replacing import find_known_contents, replace_folder
from modelyard.transfer.progress import ignore_progress
from modelyard.wire.folders.manifest import FolderFile
from modelyard.wire.models import Model
from tests.client.model_files import write_model_file
from tests.client.model_folders import pull, push, read_folder, write_model_folder

pytestmark = pytest.mark.slow

TOKEN = "0123456789abcdef" * 2


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "source" / "tiny")


@pytest.fixture
async def tiny(registry: RegistryApi, settings: ClientSettings, source: Path) -> Model:
    return await push(registry, settings, source)


def list_names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


class Killed(Exception):
    """The process ends here."""


class UnreadFiles(tuple[LocalFile, ...]):
    """The files of an earlier version; they are read right after the exchange, and the process ends then."""

    __slots__ = ()

    def __iter__(self) -> Iterator[LocalFile]:
        raise Killed


@dataclass(frozen=True)
class Exchange:
    """An earlier version that is replaced by one whose files are collected at ``partial``."""

    second: Model
    target: Path
    partial: Path
    contents: FolderContents

    def run_killed(self, new: Path) -> None:
        """Replace the earlier version, to which the user adds a file, by ``new``, and end right after the exchange."""
        (self.target / "notes.txt").write_text("of the user")
        with pytest.raises(Killed):
            replace_folder(new, self.target, self.contents)

    def list_notes(self) -> list[str]:
        """Return the contents of the user's file below all folders."""
        return [file.read_text() for file in self.target.parent.rglob("notes.txt")]


@pytest.fixture
async def exchange(
    registry: RegistryApi, settings: ClientSettings, tiny: Model, source: Path, tmp_path: Path
) -> Exchange:
    target = (await pull(registry, tiny, tmp_path / "here")).file
    await asyncio.to_thread(write_model_file, source / "vae" / "model.safetensors")
    second = await push(registry, settings, source)
    known = await find_known_contents(registry, tiny, target, ignore_progress)
    assert known is not None
    partial = FolderTarget(target).build_partial_path(second.file_hash)
    return Exchange(second, target, partial, replace(known, files=UnreadFiles()))


async def test_pull_of_folder_that_is_there_deletes_parts_of_it_that_a_killed_pull_left(
    registry: RegistryApi, tiny: Model, tmp_path: Path
) -> None:
    """Another process completed the same pull meanwhile."""
    target = (await pull(registry, tiny, tmp_path / "here")).file
    partial = FolderTarget(target).build_partial_path(tiny.file_hash)
    await asyncio.to_thread(shutil.copytree, target / "unet", partial / "unet")
    assert (await pull(registry, tiny, target.parent, replace=True)).outcome == "already here"
    assert await asyncio.to_thread(list_names, target.parent) == {"tiny"}


@pytest.mark.parametrize("is_damaged", [False, True], ids=["complete", "damaged"])
async def test_pull_folder_after_pull_that_was_killed_after_the_exchange_keeps_files_of_the_earlier_one(
    registry: RegistryApi, source: Path, exchange: Exchange, *, is_damaged: bool
) -> None:
    await asyncio.to_thread(shutil.copytree, source, exchange.partial)
    await asyncio.to_thread(exchange.run_killed, exchange.partial)
    if is_damaged:
        await asyncio.to_thread((exchange.target / "unet" / "config.json").unlink)
    pulled = await pull(registry, exchange.second, exchange.target.parent, replace=True)
    assert pulled.outcome == ("pulled" if is_damaged else "already here")
    assert await asyncio.to_thread(read_folder, exchange.target) == await asyncio.to_thread(read_folder, source)
    assert await asyncio.to_thread(exchange.list_notes) == ["of the user"]


async def test_open_partial_folder_of_second_process_that_ends_after_the_exchange_keeps_files_of_the_earlier_one(
    source: Path, exchange: Exchange
) -> None:
    async with locked(exchange.partial.with_suffix(".lock"), wait_seconds=0) as is_locked:
        assert is_locked
        async with open_partial_folder(exchange.partial) as own:
            assert own != exchange.partial
            await asyncio.to_thread(shutil.copytree, source, own, dirs_exist_ok=True)
            await asyncio.to_thread(exchange.run_killed, own)
    assert await asyncio.to_thread(exchange.list_notes) == ["of the user"]


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "already here"])
async def test_pull_folder_deletes_own_folder_of_killed_pull_but_not_of_running_one(
    registry: RegistryApi, tiny: Model, tmp_path: Path, *, is_there: bool
) -> None:
    here = tmp_path / "here"
    if is_there:
        await pull(registry, tiny, here)
    dead, alive = (here / f".tiny.{tiny.file_hash[7:19]}.{token}.part" for token in (TOKEN, TOKEN[::-1]))
    for folder in (dead, alive):
        await asyncio.to_thread(write_model_folder, folder)
    async with locked(alive.with_suffix(".lock"), wait_seconds=0) as is_locked:
        assert is_locked
        await pull(registry, tiny, here)
    assert await asyncio.to_thread(list_names, here) == {"tiny", alive.name, alive.with_suffix(".lock").name}


async def test_pull_folder_whose_exchange_was_killed_restores_it(
    registry: RegistryApi, tiny: Model, source: Path, tmp_path: Path
) -> None:
    target = (await pull(registry, tiny, tmp_path / "here")).file
    await asyncio.to_thread(target.rename, target.with_name(f".tiny.{TOKEN}.replaced"))
    assert (await pull(registry, tiny, target.parent)).outcome == "already here"
    assert await asyncio.to_thread(read_folder, target) == await asyncio.to_thread(read_folder, source)
    assert await asyncio.to_thread(list_names, target.parent) == {"tiny"}


@pytest.mark.parametrize("word", ["ink", "of the user"])
async def test_pull_of_folder_that_is_there_deletes_exchanged_one_only_if_it_is_a_version(
    registry: RegistryApi, settings: ClientSettings, tiny: Model, source: Path, tmp_path: Path, word: str
) -> None:
    await asyncio.to_thread(write_model_file, source / "vae" / "model.safetensors")
    second = await push(registry, settings, source)
    target = (await pull(registry, second, tmp_path / "here")).file
    earlier = target.with_name(f".tiny.{TOKEN}.replaced")
    await asyncio.to_thread(write_model_folder, earlier, word)
    await pull(registry, second, target.parent)
    assert await asyncio.to_thread(list_names, target.parent) == ({"tiny"} if word == "ink" else {"tiny", earlier.name})


def test_compute_missing_bytes_counts_complete_and_partial_files(tmp_path: Path) -> None:
    files = [
        FolderFile(path, letter * 64, 3_000_000) for path, letter in (("a.sft", "a"), ("u/b.sft", "b"), ("c.sft", "c"))
    ]
    (tmp_path / "u").mkdir()
    (tmp_path / "a.sft").write_bytes(b"whole")
    partial = tmp_path / "u" / f".b.sft.{'b' * 12}.part"
    with partial.open("wb") as file:
        file.write(os.urandom(2_000_000))
        os.fsync(file.fileno())
        file.truncate(3_000_000)
    missing = compute_missing_bytes(tmp_path, files)
    assert 3_000_000 < missing < 4_100_000
