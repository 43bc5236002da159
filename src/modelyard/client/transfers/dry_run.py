"""Plan a push without changing anything."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.registry import RegistryApi
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import PushRequest, RejectedFile
from modelyard.client.transfers.local_checks import LocalChecks
from modelyard.client.transfers.own_places import OwnPlace, find_own_place
from modelyard.client.transfers.own_role import OwnRole
from modelyard.client.transfers.path_state import PathState, PathStatus, compare_with_registry
from modelyard.client.transfers.push import PushOptions
from modelyard.client.transfers.sidecars import find_sidecar_picture, find_sidecar_problem, read_sidecar_details
from modelyard.transfer.errors import DiskFailed, FileChanged
from modelyard.transfer.hashing import DigestCache, compute_sha256
from modelyard.transfer.thread_pool import run_all
from modelyard.wire.problems import ModelTypeUnknown, NotAModelFile, Problem, RoleTooLow


class DryRunEntry(NamedTuple):
    """What a push would do with one file, without changing anything."""

    file: Path
    model_type: str
    model_path: str
    size: int
    action: str  # a verb phrase after "would"
    is_refused: bool
    reason: str | None  # why it is refused, and what to do
    permitted_by: str | None  # the team's policy for pickle files with which it may be accepted
    picture: Path | None  # beside the file; sent too, unless the version has a preview
    sidecar: Path | None  # beside the file; its base model and trigger words are sent too
    same_version: int | None = None  # the version of the model that has this content, and is not the current one
    is_pickle_rule_unknown: bool = False  # whether the team accepts the pickle files in it was not checked

    @property
    def is_skipped(self) -> bool:
        """Whether the registry has the content already."""
        return self.action.startswith("skip")


class PushPlan(NamedTuple):
    """What a push would do with each file, and the files that cannot be read, with the errors that say why."""

    entries: list[DryRunEntry]
    unreadable: list[RejectedFile]


async def plan_push(
    registry: RegistryApi,
    settings: ClientSettings,
    selected: Sequence[PushRequest | RejectedFile],
    *,
    sidecars: bool = True,
) -> PushPlan:
    """Return what a push would do with each file that is not rejected.

    Changes nothing at the registry. A file is hashed only if a model has its path and size; the hash is cached on this
    machine. Its content is checked as far as ``LocalChecks`` can; the registry may find more in the whole file.
    """
    digests = DigestCache(settings.cache_dir / "digests.sqlite")
    requests = [request for request in selected if isinstance(request, PushRequest)]
    free_jobs = asyncio.Semaphore(PushOptions().jobs)

    async def compute_hash(file: Path) -> str:
        """Return a file's hash with its prefix; few files are read at once."""
        async with free_jobs:
            return f"sha256:{await compute_sha256(file, cache=digests)}"

    planner = _Planner(BatchedCalls(registry), compute_hash, LocalChecks(registry), OwnRole(registry), sidecars)
    found = await run_all([_plan_file(planner, request) for request in requests])
    return PushPlan(
        [each for each in found if isinstance(each, DryRunEntry)],
        [each for each in found if isinstance(each, RejectedFile)],
    )


@dataclass(frozen=True)
class _Planner:
    """What the plan of each file needs."""

    calls: BatchedCalls
    compute_hash: Callable[[Path], Awaitable[str]]
    checks: LocalChecks
    role: OwnRole
    sidecars: bool


async def _plan_file(planner: _Planner, request: PushRequest) -> DryRunEntry | RejectedFile:
    """Compare a file with the team's model at its path, and return what a push would do; quotas are not checked."""
    try:
        return await _plan_readable_file(planner, request)
    except (DiskFailed, FileChanged, OSError) as failure:
        return RejectedFile(request.file, failure)


async def _plan_readable_file(planner: _Planner, request: PushRequest) -> DryRunEntry:
    """Return what a push would do with a file.

    Raises:
        OSError, DiskFailed, FileChanged: it cannot be read, or was changed meanwhile.
    """
    file = request.file
    size = (await asyncio.to_thread(file.stat)).st_size
    found = await compare_with_registry(planner.calls, request, size, None, lambda: planner.compute_hash(file))
    # Content that is there already is not registered again.
    is_sent = found.needs_upload(request)
    checks = (
        partial(planner.role.check_push, found.model),
        partial(planner.checks.check_type, request.model_type),
        partial(planner.checks.check_file, file, request.model_path),
    )
    refusal = await find_refusal(checks) if is_sent else None
    is_taken = found.status == "other" and not request.replace
    own = await find_own_place(planner.calls, request, found.file_hash) if is_taken else None
    entry = build_entry(request, size, found, refusal, own)
    if entry.is_refused:
        return entry
    is_rule_unknown = is_sent and planner.checks.is_pickle_rule_unknown([request.model_path])
    entry = entry._replace(is_pickle_rule_unknown=is_rule_unknown)
    if not planner.sidecars:
        return entry
    picture = await asyncio.to_thread(find_sidecar_picture, file)
    if picture is not None:
        problem = await asyncio.to_thread(find_sidecar_problem, picture, file, request.links)
        picture = picture if problem is None else None
    read_details = partial(read_sidecar_details, file, found.file_hash, request.links)
    details = await asyncio.to_thread(read_details) if is_sent else None
    return entry._replace(picture=picture, sidecar=details.file if details else None)


async def find_refusal(checks: Iterable[Callable[[], Awaitable[None]]]) -> Problem | None:
    """Make checks, and return the problem with which the registry would refuse the content; None if all pass."""
    try:
        for check in checks:
            await check()
    except (NotAModelFile, ModelTypeUnknown, RoleTooLow) as refusal:
        return refusal
    return None


def build_entry(
    request: PushRequest,
    size: int,
    found: PathState,
    refusal: Problem | None,
    own: OwnPlace | None = None,
    *,
    is_folder: bool = False,
) -> DryRunEntry:
    """Build the plan of a file or folder, without what is beside it; ``own`` is that of ``find_own_place``."""
    reason = None
    if found.model is not None and found.model.is_folder != is_folder:
        action = f"be refused (a model of {'one file' if is_folder else 'many files'} is there)"
    elif refusal is not None:
        action, reason = f"be refused ({_name_refusal(refusal)})", refusal.detail
    else:
        action = _describe_action(found, replace=request.replace)
        if found.status == "other" and not request.replace:
            reason = _advise(own)
    is_refused = action.startswith("be refused")
    same = found.newest.version if found.status == "not current" and found.newest else found.same_version
    policy = None if refusal is None or reason != refusal.detail else refusal.facts.get("permitted_by")
    return DryRunEntry(
        request.file, request.model_type, request.model_path, size, action, is_refused, reason, policy, None, None, same
    )


def _name_refusal(refusal: Problem) -> str:
    """Return in two or three words why content is refused."""
    match refusal:
        case RoleTooLow():
            return "role too low"
        case ModelTypeUnknown():
            return "unknown type"
        case _:
            return str(refusal.facts["found"])


def _advise(own: OwnPlace | None) -> str:
    """Return what to do about other content at the path of a file."""
    if own is None:
        return "To upload it as the next version of that model, add --replace."
    if own.folder is not None:
        return f'It is a part of a model. To push it, push "{own.folder}" with --as-folder --path {own.path}'
    return f"Files of many models have this name. To give it a path of its own, add --path {own.path}"


_ACTIONS: dict[PathStatus, str] = {
    "unused": "push",
    "same": "skip (already there)",
    "doubtful": "skip (already there; the registry reads its copy again)",
    "damaged": "repair (the registry's copy is damaged)",
    "failed": "send again (it failed verification)",
    "not current": "be refused (a version with this content is there, but not current)",
}


def _describe_action(found: PathState, *, replace: bool) -> str:
    """Return what a push would do with content that passes all checks, as a verb phrase after "would"."""
    if found.status != "other":
        return _ACTIONS[found.status]
    if replace and found.same_version:
        return f"make version {found.next_version} (the same as version {found.same_version})"
    if replace:
        return f"upload version {found.next_version}"
    if found.same_version:
        return f"be refused (other content is there, and this is version {found.same_version} of it)"
    return "be refused (other content is there)"
