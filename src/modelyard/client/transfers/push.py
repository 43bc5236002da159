"""Upload a local file and register it as a model."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from uuid import UUID

from modelyard.client.api.models import list_all_versions
from modelyard.client.api.registry import Registry
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import PushRequest
from modelyard.client.transfers.path_state import (
    PathState,
    VersionNotCurrent,
    build_path_taken,
    compare_with_registry,
)
from modelyard.client.transfers.resume_store import ResumeStore
from modelyard.client.transfers.uploads import (
    ResumedMultipart,
    SinglePut,
    StoredContent,
    Upload,
    Uploader,
    UploadOptions,
    UploadPlan,
    plan_upload,
)
from modelyard.transfer.hashing import DigestCache
from modelyard.transfer.options import DEFAULT_OPTIONS, TransferOptions
from modelyard.transfer.progress import ProgressEvent
from modelyard.transfer.source_file import FileIdentity
from modelyard.wire import problems
from modelyard.wire.models import Model, NewModel
from modelyard.wire.schemas import clean_name
from modelyard.wire.uploads import UploadRequest
from modelyard.wire.versions import ModelVersion, VersionStatus

# After these, the stored bytes are useless, and the next push starts again.
UNRESUMABLE_PROBLEMS = (
    problems.HashMismatch,
    problems.NotAModelFile,
    problems.SizeMismatch,
    problems.UploadNotFound,
    problems.UploadUsed,
)
PushOutcome = Literal["registered", "new version", "already there"]

_FIRST_POLL_SECONDS = 0.1
_MAX_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class AwaitingVerification:
    """A file is uploaded and registered, and the registry is reading it before anyone may download it."""

    path: Path


PushEvent = ProgressEvent | AwaitingVerification


@dataclass(frozen=True)
class PushSucceeded:
    """A file that is a version of a model of the team now, or was one already."""

    file: Path
    outcome: PushOutcome
    model: Model
    version: int
    version_status: VersionStatus
    size: int


@dataclass(frozen=True)
class PushFailed:
    """A file that is not a model of the team, and why."""

    file: Path
    error: Exception


PushResult = PushSucceeded | PushFailed


@dataclass(frozen=True)
class PreparedPush:
    """A push that passed all checks that need no upload, and how its content will be uploaded."""

    request: PushRequest
    found: PathState  # what the registry had at that path
    upload: Upload
    plan: UploadPlan


class Pusher:
    """Pushes files into one team of a registry, with resume records and cached hashes of earlier runs."""

    def __init__(
        self,
        registry: Registry,
        settings: ClientSettings,
        report: Callable[[PushEvent], None],
        *,
        wait: bool = True,
        network: TransferOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._registry = registry
        self._report = report
        self._wait = wait
        self._resume_store = ResumeStore(settings.state_dir / "uploads")
        self._digests = DigestCache(settings.cache_dir / "digests.sqlite")
        self._uploader = Uploader(registry, self._resume_store, self._digests, UploadOptions(report, network))

    async def push(self, request: PushRequest) -> PushSucceeded:
        """Upload a file and register it as a model; content that the registry has already is not sent.

        Returns once the model is verified, or right after registration if this pusher does not wait.

        Raises:
            Problem: the registry refused the file, before the upload wherever that is possible.
            TransferFailed: the upload failed; the next push of the file continues it.
        """
        prepared = await self.prepare(request)
        return prepared if isinstance(prepared, PushSucceeded) else await self.deliver(prepared)

    async def prepare(self, request: PushRequest) -> PushSucceeded | PreparedPush:
        """Make all checks of a push that need no upload, and plan the upload.

        The file is hashed first if that may save the upload. If the team's model at that path has this content already
        and the registry serves it, its verification is awaited and a success returned.

        Raises:
            ModelPathTaken: a model with other content is at that path, and the request does not replace it.
            VersionNotCurrent: the content is the model's newest version, but not the current one.
            Problem: the registry refuses the upload, for instance because of the quota.
        """
        identity, known_hash = await asyncio.to_thread(self._read_identity, request.file)
        found = await compare_with_registry(
            self._registry, request, identity.size, known_hash, lambda: self._uploader.compute_hash(request.file)
        )
        model, newest, file_hash = found.model, found.newest, found.file_hash
        if found.status == "same" and model is not None:
            same_hash = model.file_hash if newest is None else newest.file_hash
            return await self._wait_until_verified(request, "already there", model, same_hash)
        if found.status == "not current" and model is not None and newest is not None:
            raise VersionNotCurrent(model, newest.version)
        if found.status == "other" and model is not None and newest is not None and not request.replace:
            raise build_path_taken(model, newest)

        upload_request = _build_upload_request(request, identity.size, file_hash, model)
        resume_key = self._resume_store.compute_key(
            self._registry.url, self._registry.team, request.path_key, str(request.file.absolute()), *identity
        )
        upload = Upload(request.file, upload_request, resume_key)
        return await self._plan(request, found, upload)

    async def _plan(self, request: PushRequest, found: PathState, upload: Upload) -> PreparedPush:
        """Plan an upload; if it has a resume record, without asking the registry.

        The file is hashed now if the registry asks for its hash first.
        """
        if await self._resume_store.find(upload.resume_key) is not None:
            return PreparedPush(request, found, upload, ResumedMultipart())
        ticket = await self._registry.presign_upload(upload.request)
        if ticket.hash_first and upload.request.file_hash is None:
            file_hash = await self._uploader.compute_hash(request.file)
            with_hash = _build_upload_request(request, upload.request.file_size, file_hash, found.model)
            upload = Upload(request.file, with_hash, upload.resume_key)
            ticket = await self._registry.presign_upload(with_hash)
        return PreparedPush(request, found, upload, plan_upload(upload.request, ticket))

    async def deliver(self, prepared: PreparedPush) -> PushSucceeded:
        """Upload a prepared file and register it. Returns and raises as ``push``."""
        async with self._locked_record(prepared) as upload:
            stored = await self._uploader.upload(upload, prepared.plan)
            model_id = await self._register(prepared, stored)
        model = await self._registry.get_model(model_id)
        outcome: PushOutcome = "registered" if prepared.found.newest is None else "new version"
        return await self._wait_until_verified(prepared.request, outcome, model, stored.file_hash)

    async def _register(self, prepared: PreparedPush, stored: StoredContent) -> UUID:
        """Register an uploaded file and return the model's id.

        Raises:
            VersionConflict: another user has uploaded a version meanwhile; the fact ``model_id`` is added.
        """
        try:
            return (await self._registry.create_model(_build_new_model(prepared, stored))).id
        except problems.VersionConflict as conflict:
            if prepared.found.model is not None:
                conflict.facts["model_id"] = str(prepared.found.model.id)
            raise

    async def _find_version(self, model_id: UUID, file_hash: str) -> ModelVersion:
        """Return the newest version of a model with this content.

        Raises:
            VersionNotFound: it was deleted meanwhile.
        """
        for version in await list_all_versions(self._registry, model_id):
            if version.file_hash == file_hash:
                return version
        raise problems.VersionNotFound("The version that was uploaded has been deleted meanwhile.")

    @asynccontextmanager
    async def _locked_record(self, prepared: PreparedPush) -> AsyncIterator[Upload]:
        """Lock the resume record of a multipart upload while the block uploads and registers the file.

        The record is deleted if the block succeeds, or fails in a way that resuming cannot mend. If another process
        works on the same upload, the yielded upload does not use the record, which is left alone.
        """
        upload = prepared.upload
        if isinstance(prepared.plan, StoredContent | SinglePut):
            yield upload
            return
        async with self._resume_store.lock(upload.resume_key) as is_locked:
            try:
                yield replace(upload, uses_record=is_locked)
            except UNRESUMABLE_PROBLEMS:
                if is_locked:
                    await self._resume_store.delete(upload.resume_key)
                raise
            if is_locked:
                await self._resume_store.delete(upload.resume_key)

    async def _wait_until_verified(
        self, request: PushRequest, outcome: PushOutcome, model: Model, file_hash: str
    ) -> PushSucceeded:
        """Return the result of a push once the registry has verified its version; at once if this pusher does not wait.

        Polls without a time limit and reports each poll.

        Raises:
            HashMismatch, NotAModelFile: verification failed, also if this pusher does not wait.
            VersionNotFound, ModelNotFound: it was deleted meanwhile.
        """
        if model.file_hash == file_hash and model.verification == "verified":
            return PushSucceeded(request.file, outcome, model, model.version, "current", model.file_size)
        version = await self._find_version(model.id, file_hash)
        wait = _FIRST_POLL_SECONDS
        while self._wait and version.verification == "pending":
            self._report(AwaitingVerification(request.file))
            await asyncio.sleep(wait)
            wait = min(_MAX_POLL_SECONDS, wait * 1.5)
            version = await self._registry.get_version(model.id, version.version)
        model = await self._registry.get_model(model.id)
        if version.verification == "failed":
            raise _build_verification_problem(model, version)
        number, status, size = version.version, version.version_status, version.file_size
        return PushSucceeded(request.file, outcome, model, number, status, size)

    async def delete_expired_records(self) -> None:
        """Delete resume records that are so old that registries have aborted their uploads."""
        await self._resume_store.delete_expired()

    def _read_identity(self, file: Path) -> tuple[FileIdentity, str | None]:
        """Return a file's identity, and its hash (``sha256:<hex>``) if it is cached, else None. Blocking."""
        status = file.stat()
        identity = FileIdentity(status.st_size, status.st_mtime_ns, status.st_ino)
        digest = self._digests.find_digest(file, identity)
        return identity, None if digest is None else f"sha256:{digest}"


def _build_verification_problem(model: Model, version: ModelVersion) -> problems.Problem:
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


def _build_upload_request(request: PushRequest, size: int, file_hash: str | None, model: Model | None) -> UploadRequest:
    """Build the request for an upload ticket; ``model``, if not None, is the one at the path of the request."""
    return UploadRequest(
        file_name=request.file.name,
        file_size=size,
        model_type=request.model_type,
        model_path=request.model_path,
        file_hash=file_hash,
        replaces=None if model is None else model.id,
    )


def _build_new_model(prepared: PreparedPush, stored: StoredContent) -> NewModel:
    """Build the registration of an uploaded file; details that are not set are left out.

    Only a next version has ``replaces``: content that repairs the current version is registered as before.
    """
    request, model, newest = prepared.request, prepared.found.model, prepared.found.newest
    next_version = {} if model is None or newest is None else {"replaces": model.id, "expected_version": newest.version}
    name = request.display_name or (clean_name(request.file.stem) if model is None else model.display_name)
    return NewModel(
        **request.notes.model_dump(exclude_unset=True),
        display_name=name,
        model_type=request.model_type,
        model_path=request.model_path,
        storage_key=stored.storage_key,
        file_size=prepared.upload.request.file_size,
        file_hash=stored.file_hash,
        note=request.note,
        **next_version,
    )
