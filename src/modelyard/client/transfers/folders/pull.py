"""Download all files of a folder model and place them as one folder, which appears whole or not at all.

<folder>/.<name>.<start of the hash>.part/   the files that are complete, and parts of others
<folder>/<name>/                             the model
"""

import asyncio
import os
import shutil
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial as call
from pathlib import Path

from modelyard.client.api.registry import RegistryApi
from modelyard.client.transfers.collect import NothingToPush
from modelyard.client.transfers.folders.contents import FolderContents, list_folder
from modelyard.client.transfers.folders.partial_folder import open_partial_folder, remove_leftovers
from modelyard.client.transfers.folders.progress import FolderProgress
from modelyard.client.transfers.folders.replacing import (
    check_replaceable,
    delete_known,
    find_known_contents,
    replace_folder,
)
from modelyard.client.transfers.folders.urls import FolderUrls
from modelyard.transfer import filesystem
from modelyard.transfer.download.download import DownloadTarget, download_file
from modelyard.transfer.errors import FileListMismatch, TargetExists, build_disk_error
from modelyard.transfer.folder_placement import place_folder
from modelyard.transfer.hashing import compute_sha256
from modelyard.transfer.options import DEFAULT_OPTIONS, TransferOptions
from modelyard.transfer.portable.files import get_allocated_bytes
from modelyard.transfer.portable.folders import list_exchanged, restore_earlier
from modelyard.transfer.progress import OnProgress
from modelyard.transfer.thread_pool import ThreadPool, run_concurrently
from modelyard.wire.folders.manifest import FolderFile, build_manifest, check_files, get_file_hash
from modelyard.wire.folders.names import FolderInvalid
from modelyard.wire.models import Model
from modelyard.wire.paths import parse_model_path

# Larger files are downloaded one after the other, each over several connections.
SMALL_BYTES = 32 * 1024**2


@dataclass(frozen=True)
class FolderTarget:
    """Where a folder model is placed, and how its files are downloaded; ``replace`` allows replacing another folder."""

    folder: Path
    replace: bool = False
    network: TransferOptions = DEFAULT_OPTIONS
    jobs: int = 4

    def build_partial_path(self, file_hash: str) -> Path:
        """Return the path at which the files are collected, which a later run continues."""
        return self.folder.with_name(f".{self.folder.name}.{file_hash.removeprefix('sha256:')[:12]}.part")


@dataclass(frozen=True)
class PlacedFolder:
    """A folder model that is in place: whether it was downloaded, and where the folder is that it replaced.

    ``kept`` is None if it replaced nothing, or a version of the model, which is deleted.
    """

    is_downloaded: bool
    kept: Path | None = None


async def download_folder(
    registry: RegistryApi, model: Model, target: FolderTarget, report: OnProgress
) -> PlacedFolder:
    """Download the version that a folder model's record shows, check it, and place it, unless it is there.

    A folder with exactly these files is kept; hidden and empty ones do not matter. A download that was interrupted
    continues. ``report`` gets the progress of all files as that of the folder.

    Left-overs of earlier runs are deleted. With ``target.replace``, a folder that is there is replaced: it is deleted
    if its files are a version of the model and unchanged, and otherwise kept under another name.

    Raises:
        FileListMismatch, FolderInvalid: the registry lists other files than the model's hash says, or names that no
            folder may have.
        TargetExists: something else is there, and ``target.replace`` is false or it is not a folder.
        OtherFilesInFolder: see there.
        ModelNotVerified, ModelDamaged: the registry cannot serve it.
        TransferFailed: see ``transfer.download.download_file``.
    """
    progress = FolderProgress(target.folder, model.content_size, report)
    urls = FolderUrls(registry, model)
    files = [FolderFile(each.path, each.file_hash[7:], each.file_size) for each in await urls.load()]
    check_is_manifest_of(model, files)
    partial_path = target.build_partial_path(model.file_hash)
    await asyncio.to_thread(restore_earlier, target.folder)
    if await _is_complete(target, files, progress):
        await remove_leftovers(partial_path)
        await _remove_earlier(registry, model, target.folder, progress)
        return PlacedFolder(is_downloaded=False)
    async with open_partial_folder(partial_path) as partial:
        await asyncio.to_thread(_check_disk_space, partial, files)
        await _download_files(urls, files, partial, progress, target)
        try:
            known = await find_known_contents(registry, model, target.folder, progress.add) if target.replace else None
            async with ThreadPool(1) as pool:
                # The partial folder is cleaned up once the thread has ended, also after a cancellation.
                kept = await pool.run(call(_place, partial, files, target, known), timeout_seconds=None)
        except TargetExists:
            # Another process may have downloaded the same model meanwhile.
            if not await _is_complete(target, files, progress):
                raise
            await asyncio.to_thread(shutil.rmtree, partial)
            return PlacedFolder(is_downloaded=True)
    return PlacedFolder(is_downloaded=True, kept=kept)


def check_is_manifest_of(model: Model, files: Sequence[FolderFile]) -> None:
    """Check that the listed files are those of the model, and that their names are safe: no registry is trusted.

    Raises:
        FileListMismatch: they have another hash than the model.
        FolderInvalid, ModelPathInvalid: a name is not allowed.
    """
    if get_file_hash(build_manifest(files)) != model.file_hash:
        raise FileListMismatch(f"The registry lists other files than '{model.model_path}' has.")
    path = parse_model_path(model.model_type, model.model_path)
    check_files(path.canonical_type, path.relative, files)


async def _is_complete(target: FolderTarget, files: Sequence[FolderFile], progress: FolderProgress) -> bool:
    """Return whether the target folder has exactly these files; they are hashed only if all have the right size.

    Raises:
        TargetExists, OtherFilesInFolder: something else is there that may not be replaced.
    """
    folder = target.folder
    if not await asyncio.to_thread(os.path.lexists, folder):
        return False
    if await asyncio.to_thread(_has_sizes, folder, files):
        digests = [await compute_sha256(folder / file.path, progress.add) for file in files]
        if digests == [file.sha256 for file in files]:
            return True
    if not target.replace:
        raise TargetExists(folder)
    await asyncio.to_thread(check_replaceable, folder)
    return False


async def _remove_earlier(registry: RegistryApi, model: Model, folder: Path, progress: FolderProgress) -> None:
    """Delete the versions of the model that killed processes left beside it when they replaced them."""
    for earlier in await asyncio.to_thread(list_exchanged, folder):
        known = await find_known_contents(registry, model, earlier, progress.add)
        if known is not None:
            await asyncio.to_thread(delete_known, earlier, known)


def _has_sizes(folder: Path, files: Sequence[FolderFile]) -> bool:
    """Return whether the folder has exactly these files with these sizes, as a push of it would list them. Blocking."""
    try:
        listed = list_folder(folder).files
    except (NothingToPush, FolderInvalid):
        return False
    return {(file.path, file.identity.size) for file in listed} == {(file.path, file.size) for file in files}


def _check_disk_space(partial: Path, files: Sequence[FolderFile]) -> None:
    """Check that the rest of the files fits on the disk. Blocking.

    Raises:
        DiskFull, DiskFailed: see ``require_disk_space``.
    """
    filesystem.require_disk_space(partial, compute_missing_bytes(partial, files), 0)


def compute_missing_bytes(partial: Path, files: Sequence[FolderFile]) -> int:
    """Return the bytes that the files will need apart from what complete and partial ones occupy. Blocking."""
    missing = 0
    for file in files:
        desired = _build_download(partial, file)
        if not desired.target.exists():
            missing += max(0, file.size - _get_allocated_bytes(desired.partial_path))
    return missing


def _get_allocated_bytes(path: Path) -> int:
    """Return how many bytes of disk space a file occupies; 0 if there is none."""
    try:
        return get_allocated_bytes(path.lstat())
    except OSError:
        return 0


def _build_download(partial: Path, file: FolderFile) -> DownloadTarget:
    """Return the download of a file of the model into the folder of its files."""
    return DownloadTarget(size=file.size, sha256=file.sha256, target=partial / file.path, replace=True)


async def _download_files(
    urls: FolderUrls, files: Sequence[FolderFile], partial: Path, progress: FolderProgress, target: FolderTarget
) -> None:
    """Download the files into a folder; small ones at the same time, large ones one after the other."""
    waiting, large_file = deque(files), asyncio.Lock()

    async def work() -> None:
        """Download the files that wait, one after the other."""
        while waiting:
            file = waiting.popleft()
            async with large_file if file.size > SMALL_BYTES else nullcontext():
                await _download_file(urls, file, partial, progress, target.network)

    await run_concurrently(*(work() for _ in range(min(target.jobs, len(files)))))


async def _download_file(
    urls: FolderUrls, file: FolderFile, partial: Path, progress: FolderProgress, network: TransferOptions
) -> None:
    """Download one file into the folder, unless it is there."""
    is_downloaded = False

    async def get_url() -> str:
        """Return a download URL, and record that the file is downloaded."""
        nonlocal is_downloaded
        is_downloaded = True
        return await urls.get(file.path)

    desired = _build_download(partial, file)
    await asyncio.to_thread(desired.target.parent.mkdir, parents=True, exist_ok=True)
    await download_file(get_url, desired, progress.add, options=network)
    if not is_downloaded:
        progress.skip(file.size)


def _place(
    partial: Path, files: Sequence[FolderFile], target: FolderTarget, known: FolderContents | None
) -> Path | None:
    """Delete what is not of the model from the folder of complete files, and rename it to its name. Blocking.

    Returns where the folder is that was there before and is kept, or None.

    Raises:
        TargetExists, OtherFilesInFolder: something was placed there meanwhile.
        DiskFull, DiskFailed: the folder cannot be renamed.
        FolderInvalid: a file was removed meanwhile.
    """
    try:
        _remove_others(partial, {file.path for file in files})
        if target.replace and os.path.lexists(target.folder):
            return replace_folder(partial, target.folder, known)
        place_folder(partial, target.folder)
    except OSError as failure:
        raise build_disk_error(target.folder, failure) from failure
    return None


def _remove_others(folder: Path, names: set[str]) -> None:
    """Delete what earlier runs left in the folder of the files, and check that all files are there. Blocking.

    Raises:
        FolderInvalid: a file was removed meanwhile.
    """
    found = set[str]()
    for parent, _, files in os.walk(folder):
        for file in files:
            path = Path(parent) / file
            relative = path.relative_to(folder).as_posix()
            if relative in names:
                found.add(relative)
            else:
                path.unlink()
    if found != names:
        raise FolderInvalid(f"'{min(names - found)}' was removed meanwhile. Try again.")
