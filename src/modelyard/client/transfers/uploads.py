"""Upload a file's content to the storage: with one request or in parts, resumed where possible, hashed meanwhile."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from modelyard.client.api.registry import RegistryApi
from modelyard.client.transfers.moved_models import follow_model
from modelyard.client.transfers.resume_store import ResumeRecord, ResumeStore
from modelyard.transfer.errors import Refused
from modelyard.transfer.hashing import DigestCache, compute_sha256
from modelyard.transfer.http.connection import Request
from modelyard.transfer.options import DEFAULT_OPTIONS, TransferOptions
from modelyard.transfer.part_plan import plan_parts
from modelyard.transfer.progress import Hashed, OnProgress, ProgressEvent, Resumed, Sent
from modelyard.transfer.retry import is_url_expired
from modelyard.transfer.source_file import FileIdentity
from modelyard.transfer.thread_pool import run_concurrently
from modelyard.transfer.upload import upload_parts, upload_whole
from modelyard.wire import problems
from modelyard.wire.uploads import (
    Multipart,
    MultipartCompletion,
    MultipartRequest,
    NamedPart,
    PartsRequest,
    UploadRequest,
    UploadTicket,
)

# After these, the stored bytes are useless, and the next push starts again.
UNRESUMABLE_PROBLEMS = (
    problems.HashMismatch,
    problems.NotAModelFile,
    problems.SizeMismatch,
    problems.UploadNotFound,
    problems.UploadUsed,
)


@dataclass(frozen=True)
class StoredContent:
    """Content that the team's storage has: nothing has to be sent for it."""

    storage_key: str
    file_hash: str  # sha256:<hex>


@dataclass(frozen=True)
class SinglePut:
    """An upload with one request, which starts anew after an interruption."""

    ticket: UploadTicket


@dataclass(frozen=True)
class NewMultipart:
    """An upload in parts, from the first part on."""

    ticket: UploadTicket


@dataclass(frozen=True)
class ResumedMultipart:
    """An upload in parts that an earlier run has begun, identified by its resume record."""


UploadPlan = StoredContent | SinglePut | NewMultipart | ResumedMultipart


def plan_upload(request: UploadRequest, ticket: UploadTicket) -> StoredContent | SinglePut | NewMultipart:
    """Decide how a file without a resume record is uploaded; stored content needs its hash to be known."""
    if ticket.already_stored and request.file_hash is not None:
        return StoredContent(ticket.storage_key, request.file_hash)
    return NewMultipart(ticket) if ticket.multipart_recommended else SinglePut(ticket)


@dataclass(frozen=True)
class Upload:
    """A file, the upload that was requested for it, the key of its resume record, and the file when it was examined.

    Nothing is sent of a file that has another ``identity`` by then, such as one to which a link was changed.
    """

    file: Path
    request: UploadRequest
    resume_key: str
    identity: FileIdentity | None = None
    uses_record: bool = True  # False: no record is read or written, as another process works on the same upload


@dataclass(frozen=True)
class UploadOptions:
    """The receiver of progress events, and the options of the network transfer."""

    report: OnProgress
    network: TransferOptions = DEFAULT_OPTIONS


class Uploader:
    """Uploads files to one registry, with resume records and a cache of file hashes."""

    def __init__(
        self, registry: RegistryApi, resume_store: ResumeStore, digests: DigestCache, options: UploadOptions
    ) -> None:
        self._registry = registry
        self._resume_store = resume_store
        self._digests = digests
        self._report = options.report
        self._network = options.network

    async def compute_hash(self, file: Path) -> str:
        """Return the hash of a file as ``sha256:<hex>``, from the cache if the file is unchanged."""
        return f"sha256:{await compute_sha256(file, self._report, cache=self._digests)}"

    @asynccontextmanager
    async def lock_record(self, upload: Upload, plan: UploadPlan) -> AsyncIterator[Upload]:
        """Lock the resume record of a multipart upload while the block uploads the file and uses its content.

        The record is deleted if the block succeeds, or fails in a way that resuming cannot mend. If another process
        works on the same upload, the yielded upload does not use the record, which is left alone.
        """
        if isinstance(plan, StoredContent | SinglePut):
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

    async def upload(self, upload: Upload, plan: UploadPlan) -> StoredContent:
        """Upload a file as planned, and return the storage key and the hash of its content.

        A resumed upload that cannot be resumed starts anew.

        The hash is computed while the file is sent, and progress is reported. A multipart upload writes its resume
        record.
        """
        match plan:
            case StoredContent():
                return plan
            case SinglePut(ticket):
                return await self._send_and_hash(upload, lambda: self._send_whole(upload, ticket))
            case NewMultipart(ticket):
                return await self._send_and_hash(upload, lambda: self._send_all_parts(upload, ticket))
            case ResumedMultipart():
                return await self._send_and_hash(upload, lambda: self._resume_or_restart(upload))

    async def _send_and_hash(self, upload: Upload, send_file: Callable[[], Awaitable[str]]) -> StoredContent:
        """Send a file and hash it meanwhile, unless its hash is known; ``send_file`` returns the storage key."""
        storage_key = file_hash = ""
        is_sent = False

        def report_hashing(event: ProgressEvent) -> None:
            """Report an event, but hashing only once the file is sent."""
            # While both run, only the progress of sending is shown, which takes longer.
            if is_sent or not isinstance(event, Hashed):
                self._report(event)

        async def send() -> None:
            nonlocal storage_key, is_sent
            storage_key = await send_file()
            is_sent = True

        async def hash_file() -> None:
            nonlocal file_hash
            file_hash = upload.request.file_hash or ""
            if not file_hash:
                file_hash = f"sha256:{await compute_sha256(upload.file, report_hashing, cache=self._digests)}"

        await run_concurrently(send(), hash_file())
        return StoredContent(storage_key, file_hash)

    async def _send_whole(self, upload: Upload, ticket: UploadTicket) -> str:
        """Send a file with one request and return its storage key; an expired ticket is replaced once by a new one."""
        try:
            await self._put(upload, ticket)
        except Refused as refused:
            if not is_url_expired(refused):
                raise
            # The file waited for others for too long.
            ticket = await follow_model(self._registry, upload.request, self._registry.presign_upload)
            await self._put(upload, ticket)
        return ticket.storage_key

    async def _put(self, upload: Upload, ticket: UploadTicket) -> None:
        """Send a whole file to the URL of its ticket."""
        request = Request(ticket.upload_url, ticket.upload_headers)
        options = replace(self._network, source_identity=upload.identity)
        await upload_whole(upload.file, request, self._report, options=options)

    async def _send_all_parts(self, upload: Upload, ticket: UploadTicket) -> str:
        """Start a multipart upload, write its resume record, send all parts, complete it; return the storage key."""
        request = MultipartRequest(storage_key=ticket.storage_key, file_size=upload.request.file_size)
        started = await self._registry.start_multipart(request)
        record = ResumeRecord(storage_key=started.storage_key, upload_id=started.upload_id, part_size=started.part_size)
        if upload.uses_record:
            await self._resume_store.save(upload.resume_key, record)
        await self._send_missing_parts(upload, record, {})
        return ticket.storage_key

    async def _resume_or_restart(self, upload: Upload) -> str:
        """Finish the upload of the resume record, or upload the file anew without it; return the storage key."""
        storage_key = await self._resume(upload)
        if storage_key is not None:
            return storage_key
        ticket = await follow_model(self._registry, upload.request, self._registry.presign_upload)
        match plan_upload(upload.request, ticket):
            case StoredContent(storage_key):
                return storage_key
            case SinglePut(ticket):
                return await self._send_whole(upload, ticket)
            case NewMultipart(ticket):
                return await self._send_all_parts(upload, ticket)

    async def _resume(self, upload: Upload) -> str | None:
        """Send the missing parts of a recorded upload, complete it, and return its storage key.

        Returns None if there is no record to use, or the registry does not know the upload or its recorded parts.
        """
        record = await self._resume_store.find(upload.resume_key) if upload.uses_record else None
        if record is None:
            return None
        multipart = Multipart(storage_key=record.storage_key, upload_id=record.upload_id)
        try:
            if record.sent is not None:
                await self._complete(multipart, record.sent)
                self._report(Resumed(upload.file, upload.request.file_size, upload.request.file_size))
                return record.storage_key
            stored = await self._registry.list_parts(multipart)
        except (problems.UploadNotFound, problems.PartsWrong):
            return None
        sizes = {part.number: part.size for part in plan_parts(upload.request.file_size, record.part_size)}
        etags = {part.part_number: part.etag for part in stored.part_list if sizes.get(part.part_number) == part.size}
        stored_bytes = sum(sizes[number] for number in etags)
        self._report(Resumed(upload.file, stored_bytes, upload.request.file_size))
        await self._send_missing_parts(upload, record, etags)
        return record.storage_key

    async def _send_missing_parts(self, upload: Upload, record: ResumeRecord, stored: Mapping[int, str]) -> None:
        """Send the parts that are not in ``stored`` (part numbers to ETags), record all, and complete the upload.

        With a resume record, the ETags of all parts are written to it before the upload is completed.
        """
        multipart = Multipart(storage_key=record.storage_key, upload_id=record.upload_id)
        parts = plan_parts(upload.request.file_size, record.part_size)
        missing = [part for part in parts if part.number not in stored]
        stored_bytes = sum(part.size for part in parts) - sum(part.size for part in missing)

        async def presign(numbers: Sequence[int]) -> Mapping[int, Request]:
            """Request presigned URLs for these parts, and return them by part number."""
            request = PartsRequest(**multipart.model_dump(), part_numbers=list(numbers))
            tickets = await self._registry.presign_parts(request)
            return {each.part_number: Request(each.upload_url, each.upload_headers) for each in tickets.part_list}

        sent = await upload_parts(
            upload.file,
            missing,
            presign,
            on_progress=_add_to_sent(stored_bytes, self._report),
            options=replace(self._network, source_identity=upload.identity),
        )
        etags = dict(stored) | {part.number: part.etag for part in sent}
        named = [NamedPart(part_number=number, etag=etag) for number, etag in sorted(etags.items())]
        if upload.uses_record:
            # Completing is idempotent: after a kill from here on, the next run repeats only this.
            await self._resume_store.save(upload.resume_key, record.model_copy(update={"sent": named}))
        await self._complete(multipart, named)

    async def _complete(self, multipart: Multipart, parts: list[NamedPart]) -> None:
        """Ask the registry to join the uploaded parts; idempotent."""
        await self._registry.complete_multipart(MultipartCompletion(**multipart.model_dump(), part_list=parts))


def _add_to_sent(stored_bytes: int, report: OnProgress) -> Callable[[ProgressEvent], None]:
    """Return a receiver that adds the bytes of an earlier run to ``Sent`` events, and forwards all events."""

    def forward(event: ProgressEvent) -> None:
        report(Sent(event.path, event.done + stored_bytes, event.total) if isinstance(event, Sent) else event)

    return forward
