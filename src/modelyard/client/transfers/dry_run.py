"""Plan a push without changing anything."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from modelyard.client.api.registry import Registry
from modelyard.client.resolve_models import find_model_at, is_served
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import PushRequest, RejectedFile
from modelyard.transfer.hashing import DigestCache, compute_sha256


class DryRunEntry(NamedTuple):
    """What a push would do with one file, without changing anything."""

    file: Path
    model_type: str
    model_path: str
    size: int
    action: str  # a verb phrase after "would"
    is_refused: bool


async def plan_push(
    registry: Registry, settings: ClientSettings, selected: Sequence[PushRequest | RejectedFile]
) -> list[DryRunEntry]:
    """Return what a push would do with each file that is not rejected; changes nothing at the registry.

    A file is hashed only if a model has its path and size; the hash is cached on this machine.
    """
    digests = DigestCache(settings.cache_dir / "digests.sqlite")
    return [await _plan_file(registry, digests, request) for request in selected if isinstance(request, PushRequest)]


async def _plan_file(registry: Registry, digests: DigestCache, request: PushRequest) -> DryRunEntry:
    """Compare a file with the team's model at its path, and return what a push would do; quotas are not checked."""
    size = (await asyncio.to_thread(request.file.stat)).st_size
    current = await find_model_at(registry, request.model_type, request.model_path)
    if current is None:
        action = "push"
    elif (
        current.file_size == size and current.file_hash == f"sha256:{await compute_sha256(request.file, cache=digests)}"
    ):
        is_intact = await is_served(registry, current)
        action = "skip (already there)" if is_intact else "repair (the registry's copy is damaged)"
    else:
        action = "replace" if request.replace else "be refused (other content is there)"
    return DryRunEntry(
        request.file, request.model_type, request.model_path, size, action, action.startswith("be refused")
    )
