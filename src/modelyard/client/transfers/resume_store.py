"""Resume records: unfinished multipart uploads of this machine, one JSON file each.

    <state dir>/uploads/<digest of registry, team, file and path>.json

A record is written before the first part is sent, so that a push after a kill continues with the stored parts.
"""

import asyncio
import hashlib
import json
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from modelyard.client.atomic_file import locked, write_private_file
from modelyard.wire.uploads import NamedPart

# Registries abort an upload 7 days after its last part, so older records are useless.
_MAX_AGE_SECONDS = 14 * 24 * 3600


class ResumeRecord(BaseModel):
    """A started multipart upload. ``sent`` is set once all parts are stored, before the upload is completed."""

    model_config = ConfigDict(frozen=True)

    storage_key: str
    upload_id: str
    part_size: int
    sent: list[NamedPart] | None = None


class ResumeStore:
    """The folder of resume records. It only saves time: without a valid record, a file is sent from its first part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def compute_key(self, *facts: str | int | None) -> str:
        """Return the key of a record: a hash of these facts, which identify the upload; their order matters."""
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:40]

    def lock(self, key: str) -> AbstractAsyncContextManager[bool]:
        """Lock a record while the block runs, without waiting; yield whether it is locked, or another holder has it."""
        return locked(self._lock_file(key), wait_seconds=0)

    async def find(self, key: str) -> ResumeRecord | None:
        """Return the record; None if there is none, or it is not readable."""
        return await asyncio.to_thread(self._find, key)

    async def save(self, key: str, record: ResumeRecord) -> None:
        """Write a record durably, in place of an earlier one."""
        await asyncio.to_thread(write_private_file, self._file(key), record.model_dump_json())

    async def delete(self, key: str) -> None:
        """Delete a record and its lock file, if they exist."""
        await asyncio.to_thread(self._file(key).unlink, missing_ok=True)
        await asyncio.to_thread(self._lock_file(key).unlink, missing_ok=True)

    async def delete_expired(self) -> None:
        """Delete records last written more than 14 days ago: registries have aborted these uploads."""
        await asyncio.to_thread(self._delete_expired)

    def _find(self, key: str) -> ResumeRecord | None:
        """Read and validate a record; None if it is missing or invalid. Blocking."""
        try:
            return ResumeRecord.model_validate_json(self._file(key).read_bytes())
        except (OSError, ValidationError):
            return None

    def _delete_expired(self) -> None:
        """Delete all files in the folder, locks too, that were last written more than 14 days ago. Blocking."""
        if self._folder.is_dir():
            for file in self._folder.iterdir():
                if file.stat().st_mtime < time.time() - _MAX_AGE_SECONDS:
                    file.unlink(missing_ok=True)

    def _lock_file(self, key: str) -> Path:
        """Return the path of a record's lock file."""
        return self._folder / f"{key}.lock"

    def _file(self, key: str) -> Path:
        """Return the path of a record."""
        return self._folder / f"{key}.json"
