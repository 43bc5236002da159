"""Plan a push without changing anything."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import PushRequest, RejectedFile
from modelyard.client.transfers.local_checks import find_refusal, is_pickle
from modelyard.client.transfers.path_state import PathState, compare_with_registry
from modelyard.client.transfers.push import PushOptions
from modelyard.client.transfers.sidecars import find_sidecar_picture, read_sidecar_details
from modelyard.transfer.hashing import DigestCache, compute_sha256
from modelyard.transfer.thread_pool import run_all
from modelyard.wire import problems
from modelyard.wire.teams import PicklePolicy


class DryRunEntry(NamedTuple):
    """What a push would do with one file, without changing anything."""

    file: Path
    model_type: str
    model_path: str
    size: int
    action: str  # a verb phrase after "would"
    is_refused: bool
    reason: str | None  # why it is refused, and what to do
    picture: Path | None  # beside the file; sent too, unless the version has a preview
    sidecar: Path | None  # beside the file; its base model and trigger words are sent too


async def plan_push(
    registry: RegistryApi,
    settings: ClientSettings,
    selected: Sequence[PushRequest | RejectedFile],
    *,
    sidecars: bool = True,
) -> list[DryRunEntry]:
    """Return what a push would do with each file that is not rejected; changes nothing at the registry.

    A file is hashed only if a model has its path and size; the hash is cached on this machine. Its content is checked
    as far as ``find_refusal`` can; the registry may find more when it has the whole file.
    """
    digests = DigestCache(settings.cache_dir / "digests.sqlite")
    requests = [request for request in selected if isinstance(request, PushRequest)]
    calls = BatchedCalls(registry)
    has_pickles = any(is_pickle(request.model_path) for request in requests)
    pickle_policy = await _find_pickle_policy(registry) if has_pickles else None
    free_jobs = asyncio.Semaphore(PushOptions().jobs)

    async def compute_hash(file: Path) -> str:
        """Return a file's hash with its prefix; few files are read at once."""
        async with free_jobs:
            return f"sha256:{await compute_sha256(file, cache=digests)}"

    checks = _Checks(calls, compute_hash, pickle_policy, sidecars)
    return await run_all([_plan_file(checks, request) for request in requests])


async def _find_pickle_policy(registry: RegistryApi) -> PicklePolicy | None:
    """Return how the team handles pickle files; None with a key that may not read that."""
    try:
        return (await registry.current_team()).pickle_policy
    except problems.KeyNotAllowed:
        return None


@dataclass(frozen=True)
class _Checks:
    """What the plan of each file needs."""

    calls: BatchedCalls
    compute_hash: Callable[[Path], Awaitable[str]]
    pickle_policy: PicklePolicy | None
    sidecars: bool


async def _plan_file(checks: _Checks, request: PushRequest) -> DryRunEntry:
    """Compare a file with the team's model at its path, and return what a push would do; quotas are not checked."""
    size = (await asyncio.to_thread(request.file.stat)).st_size
    found = await compare_with_registry(checks.calls, request, size, None, lambda: checks.compute_hash(request.file))
    action, picture, details = describe_action(found, replace=request.replace), None, None
    refusal = None
    if found.status != "same":
        refusal = await asyncio.to_thread(find_refusal, request.file, request.model_path, checks.pickle_policy)
    if refusal is not None:
        action = f"be refused ({refusal.facts['found']})"
    is_refused = action.startswith("be refused")
    if checks.sidecars and not is_refused:
        picture = await asyncio.to_thread(find_sidecar_picture, request.file)
        # Content that is there already is not registered again.
        if found.status != "same":
            details = await asyncio.to_thread(read_sidecar_details, request.file, found.file_hash)
    return DryRunEntry(
        request.file,
        request.model_type,
        request.model_path,
        size,
        action,
        is_refused,
        None if refusal is None else refusal.detail,
        picture,
        details.file if details else None,
    )


def describe_action(found: PathState, *, replace: bool) -> str:
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
        case "other" if replace and found.same_version:
            return f"make version {found.next_version} (the same as version {found.same_version})"
        case "other" if replace:
            return f"upload version {found.next_version}"
        case "other" if found.same_version:
            return f"be refused (other content is there, and this is version {found.same_version} of it)"
        case "other":
            return "be refused (other content is there)"
