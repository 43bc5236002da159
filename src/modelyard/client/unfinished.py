"""Multipart uploads that were begun and not finished, remembered on this machine.

    <state dir>/uploads/<digest of registry, team, file and path>.json

Written before the first part leaves, so that a push that was killed finds its parts again.
"""

import asyncio
import hashlib
import json
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from modelyard.client.durable import locked, write_private
from modelyard.wire.uploads import NamedPart

# Registries give up an upload 7 days after its last part; nobody needs its name for longer.
_KEEP_SECONDS = 14 * 24 * 3600


class Unfinished(BaseModel):
    """Where a file's parts are. ``sent`` is set once all of them are there, before they are made one."""

    model_config = ConfigDict(frozen=True)

    storage_key: str
    upload_id: str
    part_size: int
    sent: list[NamedPart] | None = None


class UnfinishedUploads:
    """The folder of remembered uploads. It only saves time: a lost or broken note means sending again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def name(self, *facts: str | int | None) -> str:
        """The name under which an upload with these facts is remembered."""
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:40]

    def alone(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Yields whether no other process on this machine works on the same upload."""
        return locked(self._lock(name), wait_seconds=0)

    async def find(self, name: str) -> Unfinished | None:
        return await asyncio.to_thread(self._find, name)

    async def keep(self, name: str, unfinished: Unfinished) -> None:
        """Remember, durably."""
        await asyncio.to_thread(write_private, self._file(name), unfinished.model_dump_json())

    async def forget(self, name: str) -> None:
        """May be called twice."""
        await asyncio.to_thread(self._file(name).unlink, missing_ok=True)
        await asyncio.to_thread(self._lock(name).unlink, missing_ok=True)

    async def sweep(self) -> None:
        """Remove what no registry remembers any more."""
        await asyncio.to_thread(self._sweep)

    def _find(self, name: str) -> Unfinished | None:
        try:
            return Unfinished.model_validate_json(self._file(name).read_bytes())
        except (OSError, ValidationError):
            return None

    def _sweep(self) -> None:
        if self._folder.is_dir():
            for note in self._folder.iterdir():
                if note.stat().st_mtime < time.time() - _KEEP_SECONDS:
                    note.unlink(missing_ok=True)

    def _lock(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"
