"""Upload the files of a folder and register it as one model."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from modelyard.client.api.registry import RegistryApi
from modelyard.client.names import build_name_fields
from modelyard.client.settings import ClientSettings
from modelyard.client.transfers.dry_run import DryRunEntry, build_entry, find_refusal
from modelyard.client.transfers.folders.contents import FolderChanged, FolderRequest, check_unchanged
from modelyard.client.transfers.folders.progress import FolderProgress
from modelyard.client.transfers.folders.record import FolderRecord, open_record
from modelyard.client.transfers.moved_models import follow_model
from modelyard.client.transfers.own_role import OwnRole
from modelyard.client.transfers.path_state import (
    PathState,
    check_same_kind,
    compare_with_registry,
    wait_until_read_again,
)
from modelyard.client.transfers.push import Pusher, PushOptions
from modelyard.client.transfers.push_results import AwaitingVerification, PushEvent, PushOutcome, PushSucceeded
from modelyard.client.transfers.uploads import (
    UNRESUMABLE_PROBLEMS,
    ResumedMultipart,
    StoredContent,
    Upload,
    UploadPlan,
    plan_upload,
)
from modelyard.transfer.errors import DiskFailed, FileChanged
from modelyard.transfer.progress import ignore_progress
from modelyard.transfer.source_file import FileIdentity
from modelyard.transfer.thread_pool import run_all
from modelyard.wire import problems
from modelyard.wire.folders.manifest import FolderFile, build_manifest, get_file_hash
from modelyard.wire.folders.schemas import NewFolderFile
from modelyard.wire.models import NewModel, RegisteredModel
from modelyard.wire.texts.rules import clean_name
from modelyard.wire.uploads import UploadRequest

_DEFAULT_PUSH = PushOptions()
_MANIFEST_NAME = "manifest.json"
# Tickets expire, so those of later files are requested once the files before are sent.
_UPLOADS_AT_ONCE = 100
# The registry has no such upload any more: what an earlier run sent has expired, or was registered.
_UPLOAD_GONE = (problems.UploadNotFound, problems.UploadUsed, problems.UploadIncomplete)
# The field of a file's upload in a registration.
_FILE_FIELD = re.compile(r"file_list\.([0-9]{1,5})\.storage_key")


@dataclass(frozen=True)
class _Content:
    """A content to upload, and a file that has it; equal files of a folder are one content."""

    file: Path
    name: str
    sha256: str
    size: int
    identity: FileIdentity | None = None  # when the folder was listed


@dataclass(frozen=True)
class _Prepared:
    """A folder that passed all checks that need no upload."""

    request: FolderRequest
    found: PathState  # what the registry had at that path
    files: Sequence[FolderFile]
    manifest: bytes


async def push_folder(
    registry: RegistryApi,
    settings: ClientSettings,
    request: FolderRequest,
    report: Callable[[PushEvent], None],
    options: PushOptions = _DEFAULT_PUSH,
) -> PushSucceeded:
    """Upload the files of a folder that the team has not, and register the folder as one model.

    Equal files are sent once. Returns once the model is verified, or right after registration if ``options.wait`` is
    false. ``report`` gets the progress of all files as that of the folder.

    Raises:
        FolderChanged: a file was added, removed or changed meanwhile; nothing is registered.
        ModelPathTaken: a model with other content is at that path, and the request does not replace it.
        NotAModelFile: the registry would refuse one of the files.
        OtherKindOfModel: the request replaces a model of one file.
        Problem: the registry refused the folder.
        TransferFailed: an upload failed; the next push of the folder sends only what is missing.
    """
    contents = request.contents
    progress = FolderProgress(contents.folder, contents.total_size, report)

    def show(event: PushEvent) -> None:
        """Report an event of a file as one of the folder; the registry reads the folder as a whole."""
        if isinstance(event, AwaitingVerification):
            report(event)
        else:
            progress.add(event)

    pusher = _FolderPusher(registry, settings, show, progress, replace(options, sidecars=False))
    try:
        return await pusher.push_folder(request)
    except (FileChanged, DiskFailed) as failure:
        # A file that is gone cannot be read.
        await asyncio.to_thread(check_unchanged, contents)
        if isinstance(failure, FileChanged):
            raise FolderChanged(contents.folder, f'"{failure.path}" was written to') from None
        raise
    finally:
        await pusher.close()


async def plan_folder(registry: RegistryApi, settings: ClientSettings, request: FolderRequest) -> DryRunEntry:
    """Return what a push would do with a folder; changes nothing at the registry, and caches hashes on this machine.

    Raises:
        FolderChanged: the folder was changed meanwhile.
        TransferFailed, OSError: a file cannot be read.
    """
    progress = FolderProgress(request.contents.folder, 0, ignore_progress)
    pusher = _FolderPusher(registry, settings, ignore_progress, progress, _DEFAULT_PUSH)
    try:
        found, _, _ = await pusher.compare(request)
        needs_upload = found.needs_upload(request.push)
        checks = (
            partial(OwnRole(registry).check_push, found.model),
            partial(pusher.check_type, request),
            partial(pusher.check_content, request),
        )
        refusal = await find_refusal(checks) if needs_upload else None
    finally:
        await pusher.close()
    entry = build_entry(request.push, request.contents.total_size, found, refusal, is_folder=True)
    return entry._replace(is_pickle_rule_unknown=not entry.is_refused and pusher.is_pickle_rule_unknown(request))


class _FolderPusher(Pusher):
    """Pushes one folder, with the uploads, resume records and cached hashes of a pusher of files."""

    def __init__(
        self,
        registry: RegistryApi,
        settings: ClientSettings,
        show: Callable[[PushEvent], None],
        progress: FolderProgress,
        options: PushOptions,
    ) -> None:
        super().__init__(registry, settings, show, options)
        self._progress = progress
        self._records = settings.state_dir / "uploads"

    async def push_folder(self, request: FolderRequest) -> PushSucceeded:
        """Push the folder. Returns and raises as the function ``push_folder``."""
        await self.delete_expired_records()
        found, files, manifest = await self.compare(request)
        push = request.push
        check_same_kind(push, found.model, is_folder=True)
        found = await wait_until_read_again(self._calls, found, self._on_poll(push))
        if found.needs_upload(push):
            await self.check_content(request)
        if (pushed := await self._find_pushed(push, found)) is not None:
            return pushed
        registered = await self._deliver(_Prepared(request, found, files, manifest))
        model = await self._registry.get_model(registered.id)
        outcome: PushOutcome = "registered" if found.newest is None else "new version"
        pushed = await self._wait_until_verified(push, outcome, model, get_file_hash(manifest))
        return replace(pushed, ignored=registered.ignored_list)

    async def compare(self, request: FolderRequest) -> tuple[PathState, list[FolderFile], bytes]:
        """Hash the folder; return what the registry has at its path, its files with their hashes, and its manifest.

        Raises:
            FolderChanged: it has changed since it was listed.
        """
        files = await self._hash_files(request)
        await asyncio.to_thread(check_unchanged, request.contents)
        manifest = build_manifest(files)
        file_hash = get_file_hash(manifest)

        async def get_hash() -> str:
            return file_hash

        found = await compare_with_registry(self._calls, request.push, len(manifest), file_hash, get_hash)
        return found, files, manifest

    async def check_type(self, request: FolderRequest) -> None:
        """Check the type of the folder. Raises as ``LocalChecks.check_type``."""
        await self._checks.check_type(request.push.model_type)

    async def check_content(self, request: FolderRequest) -> None:
        """Check the files of the folder as far as ``LocalChecks`` can.

        Raises:
            NotAModelFile: the registry would refuse one of them.
            OSError: one cannot be read.
        """
        await self._checks.check_folder({each.path: each.file for each in request.contents.files})

    def is_pickle_rule_unknown(self, request: FolderRequest) -> bool:
        """Return whether a check of the folder needed the team's rule for pickle files, and the key may not read it."""
        return self._checks.is_pickle_rule_unknown(each.path for each in request.contents.files)

    async def _hash_files(self, request: FolderRequest) -> list[FolderFile]:
        """Hash all files; those that are unchanged since an earlier run are not read."""

        async def hash_file(path: str, file: Path, size: int) -> FolderFile:
            digest = (await self._compute_hash(file)).removeprefix("sha256:")
            return FolderFile(path, digest, size)

        listed = request.contents.files
        return await run_all([hash_file(each.path, each.file, each.identity.size) for each in listed])

    async def _deliver(self, prepared: _Prepared) -> RegisteredModel:
        """Upload and register a folder, with a record of its uploads, which is deleted once it is registered.

        If uploads of an earlier run are gone, they are made again. The record is only used while no other process works
        on the same folder.
        """
        push = prepared.request.push
        key = self._resume_store.compute_key(self._registry.url, self._registry.team, push.path_key, "folder")
        async with self._resume_store.lock(key) as is_locked:
            record = await open_record(self._records / f"{key}.folder", is_used=is_locked)
            registered = await self._register_with_record(prepared, record)
            await record.delete()
            if is_locked:
                await self._resume_store.delete(key)
        return registered

    async def _register_with_record(self, prepared: _Prepared, record: FolderRecord) -> RegisteredModel:
        """Upload and register a folder; without the recorded uploads that the registry does not have any more.

        A refused registration removes the upload of the file that it names from the record, and leaves the others. A
        failed upload removes none.
        """
        # Registries may name one of many uploads that are gone, so the second try removes all.
        for tries_left in (2, 1, 0) if record.storage_keys else (0,):
            await self._upload_missing(prepared, record)
            try:
                new = _build_new_model(prepared, record.storage_keys)
                return await follow_model(self._registry, new, self._registry.create_model)
            except UNRESUMABLE_PROBLEMS + _UPLOAD_GONE as problem:
                is_gone = isinstance(problem, _UPLOAD_GONE)
                named = _find_named_contents(prepared, problem)
                await record.forget(record.storage_keys if is_gone and tries_left == 1 else named)
                if not (is_gone and tries_left):
                    raise
        raise AssertionError("the last try returns or raises")

    async def _upload_missing(self, prepared: _Prepared, record: FolderRecord) -> None:
        """Upload what is missing, and check that the folder did not change meanwhile."""
        async with _written_to_file(prepared.manifest) as manifest:
            missing = list(self._list_missing(prepared, manifest, record))
            for start in range(0, len(missing), _UPLOADS_AT_ONCE):
                batch = missing[start : start + _UPLOADS_AT_ONCE]
                await run_all([self._upload(prepared, content, record) for content in batch])
        await asyncio.to_thread(check_unchanged, prepared.request.contents)

    def _list_missing(self, prepared: _Prepared, manifest: Path, record: FolderRecord) -> Iterator[_Content]:
        """Yield each content that an earlier run has not uploaded, once; the manifest is the last."""
        yielded = set[str]()
        for file, local in zip(prepared.files, prepared.request.contents.files, strict=True):
            if file.sha256 in record.storage_keys or file.sha256 in yielded:
                self._progress.skip(file.size)
                continue
            yielded.add(file.sha256)
            yield _Content(local.file, local.file.name, file.sha256, file.size, local.identity)
        sha256 = get_file_hash(prepared.manifest).removeprefix("sha256:")
        if sha256 not in record.storage_keys:
            yield _Content(manifest, _MANIFEST_NAME, sha256, len(prepared.manifest))

    async def _upload(self, prepared: _Prepared, content: _Content, record: FolderRecord) -> None:
        """Upload one content, unless the team has it, and record its storage key."""
        push, model = prepared.request.push, prepared.found.model
        request = UploadRequest(
            file_name=content.name,
            file_size=content.size,
            model_type=push.model_type,
            model_path=push.model_path,
            file_hash=f"sha256:{content.sha256}",
            is_folder=True,
            replaces=None if model is None else model.id,
        )
        resume_key = self._resume_store.compute_key(
            self._registry.url, self._registry.team, push.path_key, content.sha256, content.size
        )
        upload = Upload(content.file, request, resume_key, content.identity)
        plan = await self._plan_content(upload)
        if isinstance(plan, StoredContent):
            self._progress.skip(content.size)
        async with self._uploader.lock_record(upload, plan) as locked:
            async with self._free_jobs:
                stored = await self._uploader.upload(locked, plan)
            await record.add(content.sha256, stored.storage_key)

    async def _plan_content(self, upload: Upload) -> UploadPlan:
        """Plan an upload; if it has a resume record, without asking the registry."""
        if await self._resume_store.find(upload.resume_key) is not None:
            return ResumedMultipart()
        ticket = await follow_model(self._registry, upload.request, self._calls.presign_upload)
        return plan_upload(upload.request, ticket)


def _find_named_contents(prepared: _Prepared, problem: problems.Problem) -> frozenset[str]:
    """Return the digests of the files whose uploads a problem of a registration names; of all if it names none."""
    fields = [error.get("field") for error in problem.facts.get("errors") or () if isinstance(error, dict)]
    matches = [_FILE_FIELD.fullmatch(field) for field in fields if isinstance(field, str)]
    positions = {int(match[1]) for match in matches if match is not None}
    files = prepared.files
    path = problem.facts.get("path")
    named = frozenset(file.sha256 for position, file in enumerate(files) if position in positions or file.path == path)
    if named:
        return named
    return frozenset(file.sha256 for file in files) | {get_file_hash(prepared.manifest).removeprefix("sha256:")}


@asynccontextmanager
async def _written_to_file(manifest: bytes) -> AsyncIterator[Path]:
    """Write a manifest to a file of its own while the block runs: uploads read files."""
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="modelyard-"))
    try:
        file = folder / _MANIFEST_NAME
        await asyncio.to_thread(file.write_bytes, manifest)
        yield file
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _build_new_model(prepared: _Prepared, storage_keys: dict[str, str]) -> NewModel:
    """Build the registration of an uploaded folder; details that are not set are left out.

    Only a next version has ``replaces``: content that repairs the current version is registered as before, and if the
    model was chosen, at the path that it has now.
    """
    push, model, newest = prepared.request.push, prepared.found.model, prepared.found.newest
    place = push if model is None or push.replaces is None else model
    next_version = {} if model is None or newest is None else {"replaces": model.id, "expected_version": newest.version}
    file_hash = get_file_hash(prepared.manifest)
    fallback = clean_name(push.file.name) if model is None else model.display_name
    return NewModel(
        **push.notes.model_dump(exclude_unset=True),
        **build_name_fields(push.display_name, fallback),
        model_type=place.model_type,
        model_path=place.model_path,
        storage_key=storage_keys[file_hash.removeprefix("sha256:")],
        file_size=len(prepared.manifest),
        file_hash=file_hash,
        note=push.note,
        file_list=[NewFolderFile(path=file.path, storage_key=storage_keys[file.sha256]) for file in prepared.files],
        **next_version,
    )
