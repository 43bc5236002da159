"""The uploaded manifest and files of a folder to register, loaded and checked outside of the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.comfyui.model_files.folder_files import REQUEST_JSON_BYTES, name_file
from modelyard.comfyui.model_files.refusals import build_folder_pickle_refusal, build_refusal
from modelyard.comfyui.model_files.several_files import check_complete, is_index
from modelyard.server.database.session import split_ids
from modelyard.server.inspection.folder_files import inspect_folder_file_within_request
from modelyard.server.inspection.metadata import ModelMetadata
from modelyard.server.inspection.pickles import PickleRule
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.registration.decide import (
    UploadedContent,
    check_digest,
    check_stored_size,
)
from modelyard.server.models.registration.load import LoadedUpload, complete_content, find_content
from modelyard.server.storage.blob_store import BlobStore, is_storage_key
from modelyard.server.storage.byte_ranges import ObjectRangeReader
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import get_team_row, parse_pickle_policy
from modelyard.server.uploads import operations as uploads
from modelyard.server.uploads.tables import BlobRow, UploadRow
from modelyard.wire import problems
from modelyard.wire.folders.manifest import (
    MAX_MANIFEST_BYTES,
    FolderFile,
    check_files,
    get_file_hash,
    parse_manifest,
)
from modelyard.wire.folders.names import FileKind, FolderInvalid, check_file_name, check_folder_name, find_file_kind
from modelyard.wire.folders.schemas import NewFolderFile
from modelyard.wire.models import NewModel
from modelyard.wire.paths import ModelPath

# A problem names at most so many files whose uploads are gone.
MAX_NAMED_FILES = 1000
# Of one folder, to find missing parts. Pipelines have one or two for each of their models.
MAX_READ_INDEXES = 32


@dataclass(frozen=True)
class CheckedFile:
    """A file of a folder with its upload and stored content.

    ``content.metadata`` is None if the content is still to be checked by verification; else the metadata of a model
    file, or an empty object for other kinds. ``position`` is its place in the ``file_list`` of the request.
    """

    file: FolderFile
    kind: FileKind
    upload: UploadRow
    content: UploadedContent
    position: int

    def name_in(self, problem: problems.Problem) -> problems.Problem:
        """Return the problem with this file's path and field."""
        return _name_file(problem, self.file.path, self.position)


def check_folder_upload(path: ModelPath, file_name: str) -> None:
    """Check, before any byte is sent, that a file of this name may be in a folder model at the path.

    Raises:
        NotAModelFile: it may not, or the path is none of a folder.
    """
    try:
        check_folder_name(path.relative)
        check_file_name(file_name)
    except FolderInvalid as invalid:
        raise _refuse(invalid, "file_name") from None


def load_folder(
    objects: ObjectChecks, team: TeamContext, loaded: LoadedUpload, path: ModelPath, new: NewModel
) -> tuple[UploadedContent, list[CheckedFile]]:
    """Find the uploaded manifest and files of a folder, and check all of them.

    Raises:
        SizeMismatch, UploadIncomplete, HashMismatch, UploadUsed, UploadNotFound: an upload is not what the request and
            the manifest say.
        NotAModelFile, InvalidRequest: see ``load_manifest``, ``check_contents`` and ``_check_complete``.
    """
    file_list = new.file_list or []
    content = find_content(objects.store, loaded, new.file_size)
    check_stored_size(content.size, new.file_size)
    files = load_manifest(objects.store, content, new, path)
    with objects.database.reading() as session:
        uploads_by_key = load_uploads(session, team, file_list)
    objects.check_contents(team.team_id, {(file.sha256, file.size) for file in files}, wait_for_store=True)
    checked = check_contents(objects.store, files, file_list, uploads_by_key)
    _check_complete(objects.store, checked)
    manifest = replace(content, metadata=asdict(ModelMetadata("folder")))
    return complete_content(objects.store, loaded, manifest), checked


def load_manifest(store: BlobStore, content: UploadedContent, new: NewModel, path: ModelPath) -> list[FolderFile]:
    """Read the uploaded manifest of a folder, check it and the request's file list, and return its files.

    Raises:
        NotAModelFile: it is no canonical manifest, or a file of it must not be in a folder.
        HashMismatch: it has another hash than declared.
        InvalidRequest: the file list has other paths than the manifest.
    """
    if content.size > MAX_MANIFEST_BYTES:
        raise _refuse(FolderInvalid(f"The manifest of a folder may have at most {MAX_MANIFEST_BYTES} bytes."))
    manifest = ObjectRangeReader(store, content.store_key, content.size, content.version).read(0, content.size)
    if (stored_hash := get_file_hash(manifest)) != new.file_hash:
        message = f"The uploaded manifest has {stored_hash}, not {new.file_hash}."
        errors = [{"field": "file_hash", "message": message}]
        raise problems.HashMismatch(message, stored_hash=stored_hash, declared_hash=new.file_hash, errors=errors)
    try:
        files = parse_manifest(manifest)
        check_files(path.canonical_type, path.relative, files)
    except FolderInvalid as invalid:
        raise _refuse(invalid) from None
    _check_file_list(files, new.file_list or [])
    return files


def _refuse(invalid: FolderInvalid, field: str = "file_list") -> problems.NotAModelFile:
    """Build the problem of a folder that must not be a model."""
    facts = {} if invalid.path is None else {"path": invalid.path}
    errors = [{"field": field, "message": str(invalid)}]
    return build_refusal(str(invalid), "folder", errors=errors, **facts)


def _check_file_list(files: Sequence[FolderFile], file_list: Sequence[NewFolderFile]) -> None:
    """Check that the request names an upload for each file of the manifest, once, and for no other.

    Raises:
        InvalidRequest: it does not.
    """
    listed, sent = {file.path for file in files}, [file.path for file in file_list]
    if len(sent) != len(set(sent)):
        raise problems.InvalidRequest.for_field("file_list", "A path is in the list twice")
    if different := sorted(listed ^ set(sent)):
        raise problems.InvalidRequest.for_field(
            "file_list", f"The list and the manifest differ: '{different[0]}' is only in one of them"
        )


def load_uploads(session: Session, team: TeamContext, file_list: Sequence[NewFolderFile]) -> Mapping[str, LoadedUpload]:
    """Return the uploads of the team by their storage keys, each with the blob that presign has found for it.

    Raises:
        UploadNotFound: some do not exist, or belong to another team; it names their files.
    """
    keys = {file.storage_key for file in file_list}
    policy = parse_pickle_policy(get_team_row(session, team).pickle_policy)
    found = dict[str, LoadedUpload]()
    for part in split_ids(sorted(filter(is_storage_key, keys))):
        query = (
            select(UploadRow, BlobRow)
            .outerjoin(BlobRow, BlobRow.id == UploadRow.blob_id)
            .where(UploadRow.storage_key.in_(part), UploadRow.team_id == team.team_id)
        )
        found |= {upload.storage_key: LoadedUpload(upload, policy, blob) for upload, blob in session.execute(query)}
    gone = [(position, file.path) for position, file in enumerate(file_list) if file.storage_key not in found]
    if gone:
        problem = uploads.build_upload_not_found()
        errors = [_build_error(problem, position) for position, _ in gone[:MAX_NAMED_FILES]]
        raise _name_file(problem, gone[0][1], gone[0][0], errors)
    return found


def check_contents(
    store: BlobStore,
    files: Sequence[FolderFile],
    file_list: Sequence[NewFolderFile],
    loaded: Mapping[str, LoadedUpload],
) -> list[CheckedFile]:
    """Check the stored content of each file; an upload that several files share is looked up in the store once.

    Raises:
        SizeMismatch, UploadIncomplete, HashMismatch, UploadUsed: an upload is not that of the manifest's file, or is
            that of another file too; they name the file.
        NotAModelFile: a file is not what its name stands for, or a pickle that the team's policy refuses.
    """
    positions = {file.path: position for position, file in enumerate(file_list)}
    contents = dict[str, UploadedContent]()
    hashes = dict[str, str]()
    checked = list[CheckedFile]()
    for file in files:
        position = positions[file.path]
        of_file = loaded[file_list[position].storage_key]
        key = of_file.upload.storage_key
        try:
            _check_upload(of_file.upload, file)
            _check_same_content(hashes.setdefault(key, file.sha256), file)
            if key not in contents:
                contents[key] = find_content(store, of_file, file.size)
                check_stored_size(contents[key].size, file.size)
            check_digest(contents[key].digest, f"sha256:{file.sha256}")
        except (problems.SizeMismatch, problems.UploadIncomplete, problems.HashMismatch, problems.UploadUsed) as found:
            raise _name_file(found, file.path, position) from None
        checked.append(_inspect(store, file, of_file, contents[key], position))
    return checked


def _check_complete(store: BlobStore, checked: Sequence[CheckedFile]) -> None:
    """Check that the folder has all parts of its weights, by the numbers in names and by its indexes.

    Of the indexes, the first ``MAX_READ_INDEXES`` of up to 256 KiB are read, one at a time.

    Raises:
        NotAModelFile: it lacks some.
    """
    small = (each for each in checked if is_index(each.file.path) and each.file.size <= REQUEST_JSON_BYTES)
    indexes = (
        (each.file.path, _open(store, each.file, each.content).read(0, each.file.size))
        for each in islice(small, MAX_READ_INDEXES)
    )
    try:
        check_complete([each.file.path for each in checked], indexes)
    except problems.NotAModelFile as refused:
        errors = [{"field": "file_list", "message": refused.detail}]
        raise problems.NotAModelFile(refused.detail, **refused.facts | {"errors": errors}) from None


def _open(store: BlobStore, file: FolderFile, content: UploadedContent) -> ObjectRangeReader:
    """Return a reader of the stored content of a file."""
    return ObjectRangeReader(store, content.store_key, file.size, content.version)


def _name_file(
    problem: problems.Problem, path: str, position: int, errors: Sequence[dict[str, str]] = ()
) -> problems.Problem:
    """Return a problem of an upload with the path of its file in the folder, and its field in the request.

    ``errors`` names several such fields.
    """
    named = {"path": path, "errors": list(errors) or [_build_error(problem, position)]}
    return type(problem)(name_file(problem.detail, path), **(problem.facts | named))


def _build_error(problem: problems.Problem, position: int) -> dict[str, str]:
    """Build the error of the request's field that names the upload at a position of the file list."""
    return {"field": f"file_list.{position}.storage_key", "message": problem.detail}


def _check_same_content(sha256: str, file: FolderFile) -> None:
    """Check that the files which name one upload have equal content: its digest may be unknown yet.

    Raises:
        HashMismatch: they do not.
    """
    if sha256 != file.sha256:
        raise problems.HashMismatch(
            f"Another file of the list has the same upload, and sha256:{sha256}. Upload each content on its own.",
            stored_hash=f"sha256:{sha256}",
            declared_hash=f"sha256:{file.sha256}",
        )


def _check_upload(upload: UploadRow, file: FolderFile) -> None:
    """Check that an upload is one of a file of this size and hash, and not registered.

    Raises:
        SizeMismatch, HashMismatch, UploadUsed: it is not.
    """
    if upload.registered_at is not None:
        raise problems.UploadUsed("Its upload is registered already. Request a new upload.")
    if upload.file_size != file.size:
        raise problems.SizeMismatch(
            f"Its upload was presigned for {upload.file_size} bytes, but the manifest says {file.size}.",
            presigned=upload.file_size,
            registered=file.size,
        )
    if upload.file_hash not in (None, f"sha256:{file.sha256}"):
        raise problems.HashMismatch(
            f"Its upload was presigned for {upload.file_hash}, but the manifest says sha256:{file.sha256}.",
            stored_hash=upload.file_hash,
            declared_hash=f"sha256:{file.sha256}",
        )


def _inspect(
    store: BlobStore, file: FolderFile, loaded: LoadedUpload, content: UploadedContent, position: int
) -> CheckedFile:
    """Inspect the content of a file if that is cheap, as what its name stands for.

    Raises:
        NotAModelFile: it is not that, or a pickle that the policy refuses; it names the file.
    """
    reader = _open(store, file, content)
    kind = cast(FileKind, find_file_kind(file.path))
    try:
        if kind == "pickle" and loaded.pickle_policy == "convert":
            raise build_folder_pickle_refusal()
        # Of pickles that are accepted, verification decides on each file.
        rule: PickleRule = "block" if loaded.pickle_policy == "block" else "scan"
        is_checked, metadata = inspect_folder_file_within_request(reader, file.path, rule)
    except problems.NotAModelFile as refused:
        raise _name_file(refused, file.path, position) from None
    inspected = replace(content, metadata=_build_metadata(is_checked, metadata))
    return CheckedFile(file, kind, loaded.upload, complete_content(store, loaded, inspected), position)


def _build_metadata(is_checked: bool, metadata: ModelMetadata | None) -> dict[str, Any] | None:
    """Return the metadata of a checked file, empty if it is no model file; None if it was not checked."""
    if not is_checked:
        return None
    return {} if metadata is None else asdict(metadata)
