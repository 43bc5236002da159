"""What an interrupted push of a folder has uploaded already: one line for each content.

    <state dir>/uploads/<digest of registry, team and model path>.folder

A content is recorded once its upload is complete, so the next push of the folder sends only the others.
"""

import asyncio
from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from modelyard.client.atomic_file import create_folder_durably, write_file


class _Line(BaseModel):
    """A complete upload."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    storage_key: str


class FolderRecord:
    """The complete uploads of a folder by the hex digest of their content. It only saves time."""

    def __init__(self, file: Path, storage_keys: dict[str, str], *, is_used: bool) -> None:
        self._file, self._is_used = file, is_used
        self.storage_keys = storage_keys

    async def add(self, sha256: str, storage_key: str) -> None:
        """Record a complete upload, in memory and, if the file is used, there."""
        self.storage_keys[sha256] = storage_key
        if self._is_used:
            await asyncio.to_thread(self._append, _Line(sha256=sha256, storage_key=storage_key))

    async def forget(self, digests: Collection[str]) -> None:
        """Remove the uploads of these contents from the record, and rewrite its file."""
        self.storage_keys = {sha256: key for sha256, key in self.storage_keys.items() if sha256 not in digests}
        if self._is_used:
            lines = [_Line(sha256=sha256, storage_key=key) for sha256, key in self.storage_keys.items()]
            text = "".join(f"{line.model_dump_json()}\n" for line in lines)
            await asyncio.to_thread(write_file, self._file, text)

    async def delete(self) -> None:
        """Remove all uploads from the record, and delete its file."""
        self.storage_keys.clear()
        if self._is_used:
            await asyncio.to_thread(self._file.unlink, missing_ok=True)

    def _append(self, line: _Line) -> None:
        """Write a line, which a killed process may leave incomplete."""
        create_folder_durably(self._file.parent)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{line.model_dump_json()}\n")


async def open_record(file: Path, *, is_used: bool) -> FolderRecord:
    """Read the record of an earlier push; empty if there is none, or if it is not used.

    ``is_used``: false if another process works on the same folder.
    """
    known = await asyncio.to_thread(_read, file) if is_used else {}
    return FolderRecord(file, known, is_used=is_used)


def _read(file: Path) -> dict[str, str]:
    """Return the storage keys of the valid lines by digest. Blocking."""
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        try:
            each = _Line.model_validate_json(line)
        except ValidationError:
            continue  # cut by a kill
        found[each.sha256] = each.storage_key
    return found
