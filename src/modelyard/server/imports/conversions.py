"""Conversions of pickle files to safetensors: imports whose source is a model of the team."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.comfyui.model_files.readers import Reader
from modelyard.server.database.session import Database
from modelyard.server.imports.downloads.download import Progress, Reporter, check_continued, iterate_parts
from modelyard.server.imports.downloads.unfinished_parts import UnfinishedPart
from modelyard.server.imports.operations import ImportOrigin, queue_import
from modelyard.server.inspection.conversion import ConversionPlan, plan_conversion
from modelyard.server.inspection.sandbox import SandboxFailed, log_failure, never_stop
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.objects.recheck_requests import record_wrong_bytes
from modelyard.server.models.operations import find_model
from modelyard.server.models.paths import find_model_at_path, validate_model_path
from modelyard.server.models.tables import ModelRow, ModelVersionRow, find_shown_version
from modelyard.server.models.versions.states import find_newest_version
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, NamedPart
from modelyard.server.storage.byte_ranges import ObjectRangeReader
from modelyard.server.storage.digest import ObjectHasher
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads.tables import BlobRow, UploadRow
from modelyard.wire import problems
from modelyard.wire.imports.jobs import NewImport
from modelyard.wire.pickles.conversions import Conversion, DerivedFrom

# A run that takes longer is refused: a slow conversion must not keep a worker for days.
SECONDS_ALLOWED, BYTES_PER_SECOND = 1800, 2 << 20


@dataclass(frozen=True)
class StoredSource:
    """The file that is converted, as it is stored: a blob, and the version of its object."""

    store: BlobStore
    blob: BlobRow
    version: str | None

    def open(self) -> Reader:
        """Return a reader of the file."""
        return ObjectRangeReader(self.store, self.blob.store_key, self.blob.size, self.version)

    def compute_sha256(self, raise_if_stopped: Callable[[], None]) -> str:
        """Read the whole file and return its SHA-256 as hex; an exception from ``raise_if_stopped`` passes through."""
        hasher = ObjectHasher(self.store, self.blob.store_key, self.blob.size, self.version)
        return hasher.compute_digest(lambda _: raise_if_stopped()).sha256


@dataclass(frozen=True)
class ConversionCandidate:
    """A file that may be converted as far as the database knows: its model and version, and where the result goes."""

    model: ModelRow
    version: ModelVersionRow
    source: DerivedFrom
    path: str
    existing: "_Existing | None"


def find_conversion(database: Database, team: TeamContext, model_id: UUID) -> ConversionCandidate | Conversion:
    """Return what a conversion of a model's file starts from, or the result if the same file was converted before.

    The version is the one that the model's record shows. Reads only the database.

    Raises:
        ModelNotFound: there is no such model.
        ModelNotVerified, ConversionRefused: the file was not read yet, or is no pickle.
        ModelPathTaken: another model is at the path.
    """
    with database.reading() as session:
        model = find_model(session, team, model_id)
        version = find_shown_version(session, model)
        _check_is_convertible(version)
        source = DerivedFrom(model_id=model.id, version=version.number, file_hash=version.file_hash)
        path = str(PurePosixPath(model.model_path).with_suffix(".safetensors"))
        existing = _find_existing(session, model, path, source)
    if existing is not None and existing.is_converted:
        return Conversion(
            import_id=None, model_id=existing.id, model_path=path, left_out_list=None, left_out_count=None
        )
    return ConversionCandidate(model, version, source, path, existing)


def start_conversion(
    objects: ObjectChecks, team: TeamContext, settings: Settings, candidate: ConversionCandidate
) -> Conversion:
    """Queue the conversion of a file to a new model beside it; return the one of the same file if it is queued already.

    If the model beside it was converted from another version of the same model, it gets a new version.
    Reads the file's pickles in a sandbox, for up to minutes.

    Raises:
        ConversionRefused: the file cannot be converted.
        RoleTooLow: the caller may not change the model that would get a new version.
        ModelPathTaken, ModelPathRefused, ModelTypeUnknown, QuotaExceeded, TooManyUploads, StorageFull: see
            ``queue_import``.
    """
    source, path = candidate.source, candidate.path
    stored = find_source(objects.database, objects.store, team.team_id, source)
    plan = _plan(stored.open(), stored.blob)
    new = _build_import(candidate.model, candidate.version, path, plan.size, candidate.existing)
    origin = ImportOrigin(f"model:{team.team_id}", derived_from=source.model_dump(mode="json"))
    with objects.database.reading() as session:
        running = origin.find_running(session, team, new)
    started = running or queue_import(objects, team, settings, new, origin).id
    names, count = list(plan.left_out.names), plan.left_out.count
    return Conversion(import_id=started, model_id=None, model_path=path, left_out_list=names, left_out_count=count)


def _check_is_convertible(version: ModelVersionRow) -> None:
    """Check that the registry has read the version, and that it is a pickle.

    Raises:
        ModelNotVerified: it is not verified yet.
        ConversionRefused: it is no pickle, or its content is wrong or missing.
    """
    if version.verification == "pending":
        raise problems.ModelNotVerified(
            version.verification_error or "The file is not verified yet. Try again later.", verification="pending"
        )
    if version.facts.get("format") != "pickle":
        raise problems.ConversionRefused("Only pickle files are converted to .safetensors.", found="no pickle file")
    if version.verification == "failed" and "pickle_scan" not in version.facts.get("refusal", {}):
        raise problems.ConversionRefused(
            f"This content cannot be used: {version.verification_error}", found="damaged content"
        )


@dataclass(frozen=True)
class _Existing:
    """The model at the path of the result, and whether it has the converted content already."""

    id: UUID
    display_name: str
    is_converted: bool


def _find_existing(session: Session, model: ModelRow, path: str, source: DerivedFrom) -> _Existing | None:
    """Return the model at the path if it comes from the same content, or from another version of ``model``.

    Only content that can be used counts as converted. Returns None if the path is free.

    Raises:
        ModelPathTaken: a model with other content is there.
    """
    existing = find_model_at_path(session, model.team_id, validate_model_path(model.model_type, path))
    if existing is None:
        return None
    newest = find_newest_version(session, existing.id)
    is_converted = any(
        version.derived_from is not None
        and version.derived_from["file_hash"] == source.file_hash
        and version.verification != "failed"
        for version in (find_shown_version(session, existing), newest)
    )
    origin = newest.derived_from or {}
    if is_converted or origin.get("model_id") == str(model.id) or origin.get("file_hash") == source.file_hash:
        return _Existing(existing.id, existing.display_name, is_converted)
    raise problems.ModelPathTaken(
        f"Another model is at '{existing.model_path}'. Move or delete it first, then convert this one.",
        model_id=str(existing.id),
    )


def _plan(reader: Reader, blob: BlobRow, raise_if_stopped: Callable[[], None] = never_stop) -> ConversionPlan:
    """Plan a conversion; raises ``ConversionRefused``, or ``Unavailable`` if the sandbox fails."""
    try:
        return plan_conversion(reader, raise_if_stopped)
    except SandboxFailed as failed:
        log_failure(failed, task="conversion", blob=str(blob.id))
        raise problems.Unavailable("The registry could not plan the conversion. Try again.", retry_after=5) from None


def _build_import(
    model: ModelRow, version: ModelVersionRow, path: str, size: int, existing: _Existing | None
) -> NewImport:
    """Return the registration of the converted file: a model with the record's details, or the next version of one."""
    details: dict[str, Any] = {"sidecar": version.sidecar}
    if existing is None:
        details |= {
            "description": model.description,
            "license": model.license_override,
            "author": model.author_override,
            "source_url": model.source_url,
            "base_model": model.base_model_override,
            "trigger_words": model.trigger_words_override,
            "tags": model.tags,
            "required_labels": model.required_labels,
        }
    else:
        details["replaces"] = existing.id
    return NewImport(
        url=f"model:{model.id}@{version.number}",
        file_size=size,
        display_name=model.display_name if existing is None else existing.display_name,
        keeps_name=True,
        model_type=model.model_type,
        model_path=path,
        **{name: value for name, value in details.items() if value is not None},
    )


def find_source(database: Database, store: BlobStore, team_id: UUID, source: DerivedFrom) -> StoredSource:
    """Return the file that is converted.

    Raises:
        ConversionRefused: the version was purged, has other content by now, or its content is missing.
    """
    with database.reading() as session:
        version = session.get(ModelVersionRow, (source.model_id, source.version))
        blob = None if version is None else session.get(BlobRow, version.blob_id)
    if version is None or blob is None or version.team_id != team_id or version.file_hash != source.file_hash:
        raise problems.ConversionRefused("The file to convert does not exist any more.", found="nothing")
    stored = store.stat(blob.store_key)
    if stored is None or stored.size != blob.size:
        raise problems.ConversionRefused("The content of the file to convert is missing.", found="nothing")
    return StoredSource(store, blob, stored.version)


def convert_file(objects: ObjectChecks, upload: UploadRow, source: StoredSource, reporter: Reporter) -> None:
    """Write the converted file into the parts of ``upload``, from the beginning, and complete it.

    The source is hashed before the end: its tensors may have been damaged since it was verified.

    Raises:
        ConversionRefused: it cannot be converted, has another size than when it was queued, is damaged, or the
            conversion takes too long.
        ReadStopped: the reporter says that it has to end.
        StoreError: the store failed.
    """
    check = _build_stop_check(reporter, source.blob.size + upload.file_size)
    reader, store = source.open(), objects.store
    plan = _plan(reader, source.blob, check)
    if plan.size != upload.file_size:
        raise problems.ConversionRefused("This release converts the file in another way. Convert it again.", found="")
    named: list[NamedPart] = []
    done = 0
    multipart_id, part_size = upload.multipart_id or "", upload.part_size or upload.file_size
    parts = iterate_parts(plan.iterate(reader, check), UnfinishedPart(0), plan.size, part_size)
    for number, part in enumerate(parts, 1):
        check()
        named.append(NamedPart(number, store.put_part(upload.storage_key, multipart_id, number, part)))
        done += len(part)
        check_continued(reporter.report(Progress(done, None)))
    _check_undamaged(objects, source, check)
    store.finish_multipart(upload.storage_key, multipart_id, named)


def _build_stop_check(reporter: Reporter, size: int) -> Callable[[], None]:
    """Return a function that raises ``ReadStopped`` if the run has to end, ``ConversionRefused`` once it took too long.

    ``size``: of the source and the result together.
    """
    ends = time.monotonic() + SECONDS_ALLOWED + size / BYTES_PER_SECOND

    def check() -> None:
        check_continued(not reporter.is_interrupted())
        if time.monotonic() > ends:
            raise problems.ConversionRefused("The conversion takes too long. Try again later.", found="slow conversion")

    return check


def _check_undamaged(objects: ObjectChecks, source: StoredSource, raise_if_stopped: Callable[[], None]) -> None:
    """Check that the stored source has the hash that it was registered with; request a verification if not.

    Raises:
        ConversionRefused: it has another one.
    """
    if source.compute_sha256(raise_if_stopped) == source.blob.sha256:
        return
    record_wrong_bytes(objects.database, source.blob)
    raise problems.ConversionRefused(
        "The stored file is damaged. It was not converted: push the original file again, then convert it.",
        found="damaged content",
    )
