"""What a push would do, found out without changing anything."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from modelyard.client.lookup import model_at
from modelyard.client.registry import Registry
from modelyard.client.selection import PushRequest, Unfit
from modelyard.client.settings import ClientSettings
from modelyard.transfer.hashing import DigestCache, sha256_of


class Planned(NamedTuple):
    """One file of a push that has not happened."""

    file: Path
    model_type: str
    model_path: str
    size: int
    action: str  # a verb phrase after "would"
    is_refused: bool


async def rehearse(
    registry: Registry, settings: ClientSettings, selected: Sequence[PushRequest | Unfit]
) -> list[Planned]:
    """What would become of the files that can be pushed; hashes one only where its path and size are taken."""
    digests = DigestCache(settings.cache_dir / "digests.sqlite")
    return [await _planned(registry, digests, request) for request in selected if isinstance(request, PushRequest)]


async def _planned(registry: Registry, digests: DigestCache, request: PushRequest) -> Planned:
    size = (await asyncio.to_thread(request.file.stat)).st_size
    holder = await model_at(registry, request.model_type, request.model_path)
    if holder is None:
        action = "push"
    elif holder.file_size == size and holder.file_hash == f"sha256:{await sha256_of(request.file, cache=digests)}":
        action = "skip (already there)"
    else:
        action = "replace" if request.replace else "be refused (other bytes are there)"
    return Planned(request.file, request.model_type, request.model_path, size, action, action.startswith("be refused"))
