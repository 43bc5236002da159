"""Plan a push without changing anything."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from modelyard.client.api.registry import Registry
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import PushRequest, RejectedFile
from modelyard.client.transfers.path_state import PathState, compare_with_registry
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

    async def compute_hash() -> str:
        """Return the file's hash with its prefix."""
        return f"sha256:{await compute_sha256(request.file, cache=digests)}"

    size = (await asyncio.to_thread(request.file.stat)).st_size
    found = await compare_with_registry(registry, request, size, None, compute_hash)
    action = _describe_action(found, replace=request.replace)
    return DryRunEntry(
        request.file, request.model_type, request.model_path, size, action, action.startswith("be refused")
    )


def _describe_action(found: PathState, *, replace: bool) -> str:
    """Return what a push would do, as a verb phrase after "would"."""
    match found.status:
        case "unused":
            return "push"
        case "same":
            return "skip (already there)"
        case "damaged":
            return "repair (the registry's copy is damaged)"
        case "failed":
            return "send again (it failed verification)"
        case "not current":
            return "be refused (a version with this content is there, but not current)"
        case "other" if replace:
            return f"upload version {found.next_version}"
        case "other":
            return "be refused (other content is there)"
