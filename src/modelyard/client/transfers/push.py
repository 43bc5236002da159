"""Upload a local file and register it as a model."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from modelyard.client.api.registry import Registry
from modelyard.client.resolve_models import find_model_at, is_served
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import PushRequest
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
from modelyard.wire.uploads import UploadRequest

# After these, the stored bytes are useless, and the next push starts again.
UNRESUMABLE_PROBLEMS = (
    problems.HashMismatch,
    problems.NotAModelFile,
    problems.SizeMismatch,
    problems.UploadNotFound,
    problems.UploadUsed,
)
PushOutcome = Literal["registered", "replaced", "already there"]

_FIRST_POLL_SECONDS = 0.1
_MAX_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class AwaitingVerification:
    """A file is uploaded and registered, and the registry is reading it before anyone may download it."""

    path: Path


PushEvent = ProgressEvent | AwaitingVerification


@dataclass(frozen=True)
class PushSucceeded:
    """A file that is a model of the team now, or was one already."""

    file: Path
    outcome: PushOutcome
    model: Model


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
    replaced: Model | None  # the team's current model at that path
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
            Problem: the registry refuses the upload, for instance because of the quota.
        """
        identity, file_hash = await asyncio.to_thread(self._read_identity, request.file)
        current = await find_model_at(self._registry, request.model_type, request.model_path)
        if current is not None and file_hash is None and current.file_size == identity.size:
            file_hash = await self._uploader.compute_hash(request.file)
        if current is not None and current.file_hash == file_hash and await is_served(self._registry, current):
            return PushSucceeded(request.file, "already there", await self._wait_until_verified(request, current))
        if current is not None and current.file_hash != file_hash and not request.replace:
            raise _build_path_taken(current)

        upload_request = _build_upload_request(request, identity.size, file_hash, current)
        resume_key = self._resume_store.compute_key(
            self._registry.url, self._registry.team, request.path_key, str(request.file.absolute()), *identity
        )
        upload = Upload(request.file, upload_request, resume_key)
        return await self._plan(request, current, upload)

    async def _plan(self, request: PushRequest, current: Model | None, upload: Upload) -> PreparedPush:
        """Plan an upload; if it has a resume record, without asking the registry.

        The file is hashed now if the registry asks for its hash first.
        """
        if await self._resume_store.find(upload.resume_key) is not None:
            return PreparedPush(request, current, upload, ResumedMultipart())
        ticket = await self._registry.presign_upload(upload.request)
        if ticket.hash_first and upload.request.file_hash is None:
            file_hash = await self._uploader.compute_hash(request.file)
            with_hash = _build_upload_request(request, upload.request.file_size, file_hash, current)
            upload = Upload(request.file, with_hash, upload.resume_key)
            ticket = await self._registry.presign_upload(with_hash)
        return PreparedPush(request, current, upload, plan_upload(upload.request, ticket))

    async def deliver(self, prepared: PreparedPush) -> PushSucceeded:
        """Upload a prepared file and register it. Returns and raises as ``push``."""
        request, replaced = prepared.request, prepared.replaced
        async with self._locked_record(prepared) as upload:
            stored = await self._uploader.upload(upload, prepared.plan)
            created = await self._registry.create_model(_build_new_model(prepared, stored))
        model = await self._registry.get_model(created.id)
        is_replacement = replaced is not None and replaced.id != model.id
        outcome: PushOutcome = "replaced" if is_replacement else "registered"
        return PushSucceeded(request.file, outcome, await self._wait_until_verified(request, model))

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

    async def _wait_until_verified(self, request: PushRequest, model: Model) -> Model:
        """Return the model once the registry has verified it; as it is if this pusher does not wait.

        Polls without a time limit and reports each poll.

        Raises:
            HashMismatch, NotAModelFile: verification failed, also if this pusher does not wait.
        """
        wait = _FIRST_POLL_SECONDS
        while self._wait and model.verification == "pending":
            self._report(AwaitingVerification(request.file))
            await asyncio.sleep(wait)
            wait = min(_MAX_POLL_SECONDS, wait * 1.5)
            model = await self._registry.get_model(model.id)
        if model.verification == "failed":
            raise _build_verification_problem(model)
        return model

    async def delete_expired_records(self) -> None:
        """Delete resume records that are so old that registries have aborted their uploads."""
        await self._resume_store.delete_expired()

    def _read_identity(self, file: Path) -> tuple[FileIdentity, str | None]:
        """Return a file's identity, and its hash (``sha256:<hex>``) if it is cached, else None. Blocking."""
        status = file.stat()
        identity = FileIdentity(status.st_size, status.st_mtime_ns, status.st_ino)
        digest = self._digests.find_digest(file, identity)
        return identity, None if digest is None else f"sha256:{digest}"


def _build_verification_problem(model: Model) -> problems.Problem:
    """Build the problem of a failed verification: ``NotAModelFile`` with a refusal, else ``HashMismatch``."""
    detail = model.verification_error or "The registry read other content than was declared."
    refusal = model.metadata.get("refusal")
    if not isinstance(refusal, dict):
        return problems.HashMismatch(detail, model_id=str(model.id))
    problem = problems.NotAModelFile(detail, model_id=str(model.id))
    problem.facts |= refusal
    return problem


def _build_upload_request(
    request: PushRequest, size: int, file_hash: str | None, current: Model | None
) -> UploadRequest:
    """Build the request for an upload ticket; ``current``, if not None, is the model that the file replaces."""
    return UploadRequest(
        file_name=request.file.name,
        file_size=size,
        model_type=request.model_type,
        model_path=request.model_path,
        file_hash=file_hash,
        replaces=None if current is None else current.id,
    )


def _build_new_model(prepared: PreparedPush, stored: StoredContent) -> NewModel:
    """Build the registration of an uploaded file; details that are not set are left out."""
    request, replaced = prepared.request, prepared.replaced
    return NewModel(
        **request.notes.model_dump(exclude_unset=True),
        display_name=request.display_name,
        model_type=request.model_type,
        model_path=request.model_path,
        storage_key=stored.storage_key,
        file_size=prepared.upload.request.file_size,
        file_hash=stored.file_hash,
        replaces=None if replaced is None else replaced.id,
    )


def _build_path_taken(current: Model) -> problems.ModelPathTaken:
    """Build the problem that the registry itself would raise, but only after the upload."""
    return problems.ModelPathTaken(
        f"A model with other content is at '{current.model_path}'.",
        model_id=str(current.id),
        model_path=current.model_path,
        held_hash=current.file_hash,
    )
