"""The folder in which the files of a folder model are collected, and what killed processes left of such folders.

.<name>.<start of the hash>.part              one process at a time works in it, and the next continues
.<name>.<start of the hash>.<32 digits>.part  of another process that pulls the same meanwhile; it is never continued
.<name>.….lock                                the lock of each
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

from modelyard.client.atomic_file import locked
from modelyard.transfer.errors import TargetExists, build_disk_error


@asynccontextmanager
async def open_partial_folder(partial: Path) -> AsyncIterator[Path]:
    """Lock, create and yield the folder in which files are collected; if another process works in it, yield a new one.

    The new one is deleted after the block. Folders of that kind that killed processes left are deleted.

    Raises:
        TargetExists: a link is there.
        DiskFull, DiskFailed: it cannot be created.
    """
    async with _locked(partial) as is_locked:
        if is_locked:
            await _remove_unlocked(partial)
            await asyncio.to_thread(_make_folder, partial)
            yield partial
            return
    own = partial.with_suffix(f".{uuid4().hex}.part")
    async with _locked(own):
        try:
            await asyncio.to_thread(_make_folder, own)
            yield own
        finally:
            await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)


async def remove_leftovers(partial: Path) -> None:
    """Delete the parts of a model that is in place, which killed processes left, unless another process works in them.

    An earlier folder that the model replaced is never at one of these names, see ``exchange_folder``.
    """
    if await asyncio.to_thread(partial.exists):
        await _remove_if_unlocked(partial)
    await _remove_unlocked(partial)


async def _remove_unlocked(partial: Path) -> None:
    """Delete the folders with random names that killed processes left, which pulled the same while another did."""
    name = re.compile(rf"{re.escape(partial.stem)}\.[0-9a-f]{{32}}\.part")
    for folder in await asyncio.to_thread(lambda: list(partial.parent.iterdir())):
        if name.fullmatch(folder.name):
            await _remove_if_unlocked(folder)


async def _remove_if_unlocked(folder: Path) -> None:
    """Delete a folder unless another process works in it; one that cannot be deleted stays."""
    with suppress(OSError):
        async with _locked(folder) as is_locked:
            if is_locked:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def _locked(folder: Path) -> AsyncIterator[bool]:
    """Lock a folder by a file beside it, and yield whether that succeeded; the file is deleted then."""
    lock = folder.with_suffix(".lock")
    async with locked(lock, wait_seconds=0) as is_locked:
        try:
            yield is_locked
        finally:
            if is_locked:
                await asyncio.to_thread(lock.unlink, missing_ok=True)


def _make_folder(folder: Path) -> None:
    """Create the folder of the files if it is missing. Blocking. Raises as ``open_partial_folder``."""
    if folder.is_symlink():
        raise TargetExists(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise build_disk_error(folder, failure) from failure
