"""Upload a local file and register it as a model."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.registry import RegistryApi
from modelyard.client.names import build_name_fields
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.collect import PushRequest
from modelyard.client.transfers.local_checks import LocalChecks
from modelyard.client.transfers.moved_models import follow_model
from modelyard.client.transfers.own_places import find_own_place
from modelyard.client.transfers.path_state import (
    PathState,
    VersionNotCurrent,
    build_path_taken,
    check_same_kind,
    compare_with_registry,
    list_kept_fields,
    wait_until_read_again,
)
from modelyard.client.transfers.push_results import (
    AwaitingVerification,
    PushEvent,
    PushOutcome,
    PushSucceeded,
    SentPicture,
)
from modelyard.client.transfers.resume_store import ResumeStore
from modelyard.client.transfers.sidecars import (
    PictureUnusable,
    SidecarDetails,
    find_sidecar_picture,
    find_sidecar_problem,
    read_sidecar_details,
    read_sidecar_picture,
)
from modelyard.client.transfers.uploads import (
    ResumedMultipart,
    StoredContent,
    Upload,
    Uploader,
    UploadOptions,
    UploadPlan,
    plan_upload,
)
from modelyard.client.transfers.verification import find_verified_version
from modelyard.transfer.errors import FileChanged
from modelyard.transfer.hashing import DigestCache
from modelyard.transfer.options import DEFAULT_OPTIONS, IdleConnections, TransferOptions
from modelyard.transfer.progress import ProgressEvent, Resumed
from modelyard.transfer.source_file import FileIdentity
from modelyard.wire import problems
from modelyard.wire.models import Model, NewModel, RegisteredModel
from modelyard.wire.texts.rules import clean_name
from modelyard.wire.uploads import UploadRequest

# Asking the registry twice takes longer than hashing so much.
HASHED_FIRST_BYTES = 8 * 1024**2


@dataclass(frozen=True)
class IdentifiedFile:
    """The file of a push, as it was when examined; ``known_hash`` (``sha256:<hex>``) may be None if it is large."""

    request: PushRequest
    identity: FileIdentity
    known_hash: str | None


@dataclass(frozen=True)
class PreparedPush:
    """A push that passed all checks that need no upload, and how its content will be uploaded."""

    request: PushRequest
    found: PathState  # what the registry had at that path
    upload: Upload
    plan: UploadPlan


@dataclass(frozen=True)
class DoubtfulPush:
    """A push of content whose stored object the registry reads again; then it is known whether it has to be sent."""

    identified: IdentifiedFile
    found: PathState

    @property
    def request(self) -> PushRequest:
        """The file, and the model that it will be."""
        return self.identified.request


@dataclass(frozen=True)
class PushOptions:
    """How files are pushed.

    ``wait``: until they are verified. ``sidecars``: with the pictures and details beside them. ``jobs``: how many are
    read or sent at once.
    """

    wait: bool = True
    sidecars: bool = True
    network: TransferOptions = DEFAULT_OPTIONS
    jobs: int = 4


_DEFAULT_PUSH = PushOptions()


class Pusher:
    """Pushes files into one team of a registry, with resume records and cached hashes of earlier runs; see ``close``.

    Any number of files can be pushed at the same time: requests about them are made together, and ``options.jobs`` of
    them are read or sent at once.
    """

    def __init__(
        self,
        registry: RegistryApi,
        settings: ClientSettings,
        report: Callable[[PushEvent], None],
        options: PushOptions = _DEFAULT_PUSH,
    ) -> None:
        self._registry, self._calls = registry, BatchedCalls(registry)
        self._report = report
        self._options = options
        self._free_jobs = asyncio.Semaphore(options.jobs)
        self._checks = LocalChecks(registry)
        self._resume_store = ResumeStore(settings.state_dir / "uploads")
        self._digests = DigestCache(settings.cache_dir / "digests.sqlite")
        self._idle_connections = IdleConnections()
        network = replace(options.network, idle_connections=self._idle_connections)
        self._uploader = Uploader(
            registry, self._resume_store, self._digests, UploadOptions(self._report_upload, network)
        )
        self._kept_bytes: dict[Path, int] = {}  # of resumed files, what earlier runs had sent

    async def push(self, request: PushRequest) -> PushSucceeded:
        """Upload a file and register it as a model; content that the registry has already is not sent.

        Returns once the model is verified, or right after registration if this pusher does not wait.

        Raises:
            Problem: the registry refused the file, before the upload wherever that is possible.
            TransferFailed: the upload failed; the next push of the file continues it.
        """
        prepared = await self.prepare(await self.identify(request))
        return prepared if isinstance(prepared, PushSucceeded) else await self.deliver(prepared)

    async def identify(self, request: PushRequest) -> IdentifiedFile:
        """Read the identity of a file and its hash, which is computed only if the file is small.

        Raises:
            OSError, TransferFailed: the file cannot be read, or changed meanwhile.
        """
        identity, known_hash = await asyncio.to_thread(self._read_identity, request)
        if known_hash is None and identity.size <= HASHED_FIRST_BYTES:
            known_hash = await self._compute_hash(request.file)
        return IdentifiedFile(request, identity, known_hash)

    async def prepare(self, identified: IdentifiedFile) -> PushSucceeded | PreparedPush | DoubtfulPush:
        """Make all checks of a push that need no upload, and plan the upload.

        A large file is hashed first if that may save the upload. If the team's model at that path has this content
        already and the registry serves it, its verification is awaited and a success returned.

        Raises:
            ModelPathTaken: a model with other content is at that path, and the request does not replace it.
            VersionNotCurrent: the content is the model's newest version, but not the current one.
            OtherKindOfModel: the model at that path is a folder.
            NotAModelFile: the registry would refuse the content.
            Problem: the registry refuses the upload, for instance because of the quota.
            OSError, TransferFailed: the file cannot be read, or changed meanwhile.
        """
        request, identity = identified.request, identified.identity
        found = await compare_with_registry(
            self._calls, request, identity.size, identified.known_hash, lambda: self._compute_hash(request.file)
        )
        check_same_kind(request, found.model, is_folder=False)
        if found.status == "doubtful" and self._options.wait:
            return DoubtfulPush(identified, found)
        return await self._prepare_compared(identified, await wait_until_read_again(self._calls, found, None))

    async def _prepare_compared(self, identified: IdentifiedFile, found: PathState) -> PushSucceeded | PreparedPush:
        """Make the checks of ``prepare`` that follow the comparison with the registry, and plan the upload."""
        request, identity = identified.request, identified.identity
        if found.needs_upload(request):
            await self._checks.check_file(request.file, request.model_path)
        if (pushed := await self._find_pushed(request, found)) is not None:
            return pushed if pushed.model.preview_url else await self._send_picture(request, pushed)

        upload_request = _build_upload_request(request, identity.size, found.file_hash, found.model)
        resume_key = self._resume_store.compute_key(
            self._registry.url, self._registry.team, request.path_key, str(request.file.absolute()), *identity
        )
        upload = Upload(request.file, upload_request, resume_key, identity)
        return await self._plan(request, found, upload)

    async def _find_pushed(self, request: PushRequest, found: PathState) -> PushSucceeded | None:
        """Wait until content that the model has already is verified, and return its success.

        None if it must be uploaded.

        Raises:
            ModelPathTaken, VersionNotCurrent: see ``prepare``.
        """
        model, newest = found.model, found.newest
        if found.status == "same" and model is not None:
            same_hash = model.file_hash if newest is None else newest.file_hash
            pushed = await self._wait_until_verified(request, "already there", model, same_hash)
            note = (await self._registry.get_version(model.id, pushed.version)).note if request.note else None
            return replace(pushed, ignored=list_kept_fields(request, model, note))
        if found.status == "not current" and model is not None and newest is not None:
            raise VersionNotCurrent(model, newest.version)
        if found.status == "other" and model is not None and newest is not None and not request.replace:
            raise build_path_taken(model, found, await find_own_place(self._calls, request, found.file_hash))
        return None

    async def _plan(self, request: PushRequest, found: PathState, upload: Upload) -> PreparedPush:
        """Plan an upload; if it has a resume record, without asking the registry.

        The file is hashed now if the registry asks for its hash first.
        """
        if await self._resume_store.find(upload.resume_key) is not None:
            return PreparedPush(request, found, upload, ResumedMultipart())
        ticket = await follow_model(self._registry, upload.request, self._calls.presign_upload)
        if ticket.hash_first and upload.request.file_hash is None:
            file_hash = await self._compute_hash(request.file)
            with_hash = _build_upload_request(request, upload.request.file_size, file_hash, found.model)
            upload = replace(upload, request=with_hash)
            continued = with_hash.model_copy(update={"storage_key": ticket.storage_key})
            ticket = await follow_model(self._registry, continued, self._calls.presign_upload)
        return PreparedPush(request, found, upload, plan_upload(upload.request, ticket))

    async def deliver(self, prepared: PreparedPush | DoubtfulPush) -> PushSucceeded:
        """Upload a prepared file and register it. Returns and raises as ``push``.

        If the content is doubtful, waits until the registry has read it again. Afterwards it waits for verification,
        and sends the picture beside the file.
        """
        if isinstance(prepared, DoubtfulPush):
            found = await wait_until_read_again(self._calls, prepared.found, self._on_poll(prepared.request))
            decided = await self._prepare_compared(prepared.identified, found)
            return decided if isinstance(decided, PushSucceeded) else await self.deliver(decided)
        async with self._uploader.lock_record(prepared.upload, prepared.plan) as upload:
            async with self._free_jobs:
                stored = await self._uploader.upload(upload, prepared.plan)
            file, links = prepared.request.file, prepared.request.links
            read_details = partial(read_sidecar_details, file, stored.file_hash, links)
            details = await asyncio.to_thread(read_details) if self._options.sidecars else None
            registered = await self._register(prepared, stored, details)
        model = await self._calls.get_model(registered.id)
        outcome: PushOutcome = "registered" if prepared.found.newest is None else "new version"
        pushed = await self._wait_until_verified(prepared.request, outcome, model, stored.file_hash)
        sidecar = details.file if details else None
        pushed = replace(pushed, sidecar=sidecar, ignored=registered.ignored_list)
        is_sent = not isinstance(prepared.plan, StoredContent)
        sent_bytes = prepared.upload.request.file_size - self._kept_bytes.get(pushed.file, 0) if is_sent else 0
        pushed = replace(pushed, sent_bytes=sent_bytes, same_version=prepared.found.same_version)
        return await self._send_picture(prepared.request, pushed)

    def _report_upload(self, event: ProgressEvent) -> None:
        """Report an event, and store how much of a resumed file is kept."""
        if isinstance(event, Resumed):
            self._kept_bytes[event.path] = event.kept
        self._report(event)

    async def _compute_hash(self, file: Path) -> str:
        """Return the hash of a file as ``sha256:<hex>``, from the cache if the file is unchanged."""
        async with self._free_jobs:
            return await self._uploader.compute_hash(file)

    async def _send_picture(self, request: PushRequest, pushed: PushSucceeded) -> PushSucceeded:
        """Send the picture beside a pushed file, unless its version has one; return the result with what became of it.

        A picture that is refused does not make the push fail.
        """
        picture = await asyncio.to_thread(find_sidecar_picture, request.file) if self._options.sidecars else None
        if picture is None:
            return pushed
        try:
            async with self._free_jobs:
                content = await asyncio.to_thread(_read_picture, request, picture)
                preview = await self._registry.set_preview(pushed.model.id, pushed.version, content, replace=False)
        except (problems.Unauthenticated, problems.SessionEnded):
            raise
        except problems.Problem as refusal:
            return replace(pushed, picture=SentPicture(picture, refusal.detail))
        except (PictureUnusable, OSError) as failure:
            return replace(pushed, picture=SentPicture(picture, str(failure)))
        is_shown = pushed.version == pushed.model.version
        model = pushed.model.model_copy(update=preview.model_dump()) if is_shown else pushed.model
        return replace(pushed, model=model, picture=SentPicture(picture))

    async def _register(
        self, prepared: PreparedPush, stored: StoredContent, details: SidecarDetails | None
    ) -> RegisteredModel:
        """Register an uploaded file, with what a file beside it declares, and return the registry's answer.

        The next version of a model is registered at the path that the model has by then.

        Raises:
            VersionConflict: another user has uploaded a version meanwhile; the fact ``model_id`` is added.
        """
        try:
            new = _build_new_model(prepared, stored, details)
            return await follow_model(self._registry, new, self._calls.create_model)
        except problems.VersionConflict as conflict:
            if prepared.found.model is not None:
                conflict.facts["model_id"] = str(prepared.found.model.id)
            raise

    async def _wait_until_verified(
        self, request: PushRequest, outcome: PushOutcome, model: Model, file_hash: str
    ) -> PushSucceeded:
        """Return the result of a push once the registry has verified its version; at once if this pusher does not wait.

        Raises as ``find_verified_version``, also if this pusher does not wait.
        """
        found = await find_verified_version(self._calls, model, file_hash, self._on_poll(request))
        return PushSucceeded(request.file, outcome, found.model, found.number, found.status, found.size)

    def _on_poll(self, request: PushRequest) -> Callable[[], None] | None:
        """Return what reports that a file waits for the registry; None if this pusher does not wait."""
        return partial(self._report, AwaitingVerification(request.file)) if self._options.wait else None

    async def delete_expired_records(self) -> None:
        """Delete the resume records, with their locks, that are older than the uploads that registries keep."""
        await self._resume_store.delete_expired()

    async def close(self) -> None:
        """Close idle connections, and write the hashes of files that are not in the cache yet. Idempotent."""
        self._idle_connections.close()
        await asyncio.to_thread(self._digests.save)

    def _read_identity(self, request: PushRequest) -> tuple[FileIdentity, str | None]:
        """Return a file's identity, and its hash (``sha256:<hex>``) if it is cached, else None. Blocking.

        Raises:
            FileChanged: it leads out of the pushed folder since it was selected.
        """
        file, links = request.file, request.links
        status = file.stat() if links is None else links.find_status(file)
        if status is None:
            raise FileChanged(file)
        identity = FileIdentity(status.st_size, status.st_mtime_ns, status.st_ino)
        digest = self._digests.find_digest(file, identity)
        return identity, None if digest is None else f"sha256:{digest}"


def _read_picture(request: PushRequest, picture: Path) -> bytes:
    """Return the content of the picture beside a file. Blocking.

    Raises:
        PictureUnusable: it is a link that is not followed, or see ``read_sidecar_picture``.
        OSError: it cannot be read.
    """
    if (problem := find_sidecar_problem(picture, request.file, request.links)) is not None:
        raise PictureUnusable(f'"{picture}" {problem}. Put a copy of the picture beside the model.')
    return read_sidecar_picture(picture)


def _build_upload_request(request: PushRequest, size: int, file_hash: str | None, model: Model | None) -> UploadRequest:
    """Build the request for an upload ticket; ``model``, if not None, is the one at the path of the request."""
    return UploadRequest(
        file_name=clean_name(request.file.name),
        file_size=size,
        model_type=request.model_type,
        model_path=request.model_path,
        file_hash=file_hash,
        replaces=None if model is None else model.id,
    )


def _build_new_model(prepared: PreparedPush, stored: StoredContent, details: SidecarDetails | None) -> NewModel:
    """Build the registration of an uploaded file; details that are not set are left out.

    Only a next version has ``replaces``: content that repairs the current version is registered as before, and if the
    model was chosen, at the path that it has now.
    """
    request, model, newest = prepared.request, prepared.found.model, prepared.found.newest
    place = request if model is None or request.replaces is None else model
    next_version = {} if model is None or newest is None else {"replaces": model.id, "expected_version": newest.version}
    sidecar = {} if details is None else {"sidecar": details.build_sidecar()}
    fallback = clean_name(request.file.stem) if model is None else model.display_name
    return NewModel(
        **request.notes.model_dump(exclude_unset=True),
        **build_name_fields(request.display_name, fallback),
        model_type=place.model_type,
        model_path=place.model_path,
        storage_key=stored.storage_key,
        file_size=prepared.upload.request.file_size,
        file_hash=stored.file_hash,
        note=request.note,
        **next_version,
        **sidecar,
    )
