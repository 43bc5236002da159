"""Wait until the registry has verified the content of a pushed file."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.models import list_all_versions
from modelyard.client.api.registry import RegistryApi
from modelyard.wire import problems
from modelyard.wire.models import Model
from modelyard.wire.versions import ModelVersion, VersionStatus

_FIRST_POLL_SECONDS = 0.1
_MAX_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class RegisteredVersion:
    """A version with the content of a pushed file, and the record of its model; ``size`` in bytes."""

    model: Model
    number: int
    status: VersionStatus
    size: int


async def find_verified_version(
    calls: BatchedCalls, model: Model, file_hash: str, on_poll: Callable[[], None] | None
) -> RegisteredVersion:
    """Wait until the registry has verified a version of a model with this content, and return it.

    Polls without a time limit: the record, which shares requests with other files, and then the version, if the record
    is not about it any more. ``on_poll`` is called before each poll; with None, it is not waited, and the version may
    be pending.

    Raises:
        HashMismatch, NotAModelFile: verification failed.
        ModelNotVerified: the registry could not verify it yet, and tries again later.
        VersionNotFound, ModelNotFound: it was deleted meanwhile.
    """
    if on_poll is None and _is_first_version(model, file_hash):
        return RegisteredVersion(model, model.version, "pending", model.content_size)
    pauses = generate_pauses()
    while not (is_current := _is_current(model, file_hash)) and on_poll is not None and _is_being_verified(model):
        on_poll()
        await asyncio.sleep(next(pauses))
        model = await calls.get_model(model.id)
    if is_current:
        return RegisteredVersion(model, model.version, "current", model.content_size)
    version = await _find_version(calls.registry, model.id, file_hash)
    while on_poll is not None and version.verification == "pending":
        if version.verification_error:
            raise problems.ModelNotVerified(version.verification_error, verification="pending")
        on_poll()
        await asyncio.sleep(next(pauses))
        version = await calls.registry.get_version(model.id, version.version)
    model = await calls.registry.get_model(model.id)
    if version.verification == "failed":
        raise _build_problem(model, version)
    return RegisteredVersion(model, version.version, version.version_status, version.content_size)


def generate_pauses() -> Iterator[float]:
    """Yield the seconds to wait before each poll: more each time, up to a limit."""
    seconds = _FIRST_POLL_SECONDS
    while True:
        yield seconds
        seconds = min(_MAX_POLL_SECONDS, seconds * 1.5)


async def _find_version(registry: RegistryApi, model_id: UUID, file_hash: str) -> ModelVersion:
    """Return the newest version of a model with this content.

    Raises:
        VersionNotFound: it was deleted meanwhile.
    """
    for version in await list_all_versions(registry, model_id):
        if version.file_hash == file_hash:
            return version
    raise problems.VersionNotFound("The version that was uploaded has been deleted meanwhile.")


def _is_current(model: Model, file_hash: str) -> bool:
    """Return whether the model's current version has this content."""
    return model.file_hash == file_hash and model.verification == "verified"


def _is_first_version(model: Model, file_hash: str) -> bool:
    """Return whether this content is the only version, which is being verified; then the record says all about it."""
    return model.file_hash == file_hash and model.verification == "pending" and model.version_count == 1


def _is_being_verified(model: Model) -> bool:
    """Return whether the content that the record shows, or a newer one, is being verified, without a failure so far."""
    newest = model.pending_version or model
    return newest.verification == "pending" and not newest.verification_error


def _build_problem(model: Model, version: ModelVersion) -> problems.Problem:
    """Build the problem of a failed verification: ``NotAModelFile`` with a refusal, else ``HashMismatch``.

    Its text says which version machines keep, if there is an earlier one.
    """
    detail = version.verification_error or "The registry read other content than was declared."
    if model.version != version.version:
        detail = f"{detail} Version {model.version} stays the current one."
    facts = {"model_id": str(model.id), "version": version.version}
    refusal = version.metadata.get("refusal")
    if not isinstance(refusal, dict):
        return problems.HashMismatch(detail, **facts)
    problem = problems.NotAModelFile(detail, **facts)
    problem.facts |= refusal
    return problem
