"""Presigning an upload, and registering an uploaded file as a model."""

from dataclasses import replace

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from modelyard.comfyui.model_files.folder_files import name_file
from modelyard.comfyui.model_files.refusals import build_pickle_refusal
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.operations import check_may_change
from modelyard.server.models.paths import check_model_type, check_no_folder_overlaps, validate_model_path
from modelyard.server.models.registration.apply import (
    Registration,
    RegistrationResult,
    apply_registration,
    apply_repeated_registration,
)
from modelyard.server.models.registration.blobs import CheckedUpload
from modelyard.server.models.registration.decide import (
    RequestedContent,
    check_declared_sizes,
    check_digest,
    strip_hash_prefix,
)
from modelyard.server.models.registration.folder_contents import CheckedFile, check_folder_upload, load_folder
from modelyard.server.models.registration.load import load_content, load_upload
from modelyard.server.models.registration.target import decide_on_target, find_target
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import SignedRequest
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import load_pickle_policy
from modelyard.server.uploads import operations as uploads
from modelyard.server.uploads.verification_queue import check_verification_queue
from modelyard.wire import problems
from modelyard.wire.formats import find_format
from modelyard.wire.models import NewModel
from modelyard.wire.paths import ModelPath
from modelyard.wire.pickles.conversions import DerivedFrom
from modelyard.wire.uploads import UploadRequest


def presign_upload(
    objects: ObjectChecks, team: TeamContext, settings: Settings, new: UploadRequest
) -> tuple[uploads.OpenedUpload, SignedRequest]:
    """Open an upload for a file that is to become a model, and return it with a presigned PUT request.

    If the team has the content already, its stored object is checked, and marked if it is damaged.

    Raises:
        ModelPathRefused: the path or type is not allowed.
        ModelTypeUnknown: see ``check_model_type``.
        ModelPathTaken: the path is inside a folder model, or a model is inside the new folder; or a model with other
            content is at the path, which is only detected if the request has a hash.
        NotAModelFile: the path is that of a pickle file, and the team blocks those; or no folder may have such a file.
        RoleTooLow: the registration would change a model that the caller may not change; see ``decide_registration``.
        ModelNotFound, InvalidRequest: the model to replace does not exist, or the request has another path.
        QuotaExceeded, TooManyUploads, StorageFull: see ``open_upload``.
        StoreUnavailable: see ``ObjectChecks.check``.
    """
    path = validate_model_path(new.model_type, new.model_path)
    if new.is_folder:
        check_folder_upload(path, new.file_name)
    free_bytes = objects.store.get_free_bytes()
    if new.file_hash is not None:
        content = strip_hash_prefix(new.file_hash), new.file_size
        objects.check_contents(team.team_id, {content}, wait_for_store=False)
    with objects.database.writing(team.team_id) as session:
        check_model_type(session, team.team_id, new.model_type)
        _check_target(session, team, path, new)
        _check_pickle_policy(session, team, path, new)
        opened = uploads.open_upload(session, team, settings, new, free_bytes)
    return opened, uploads.presign_put(objects.store, opened.upload)


def _check_target(session: Session, team: TeamContext, path: ModelPath, new: UploadRequest) -> None:
    """Check, before any byte is sent, that the upload may be registered at its path or as a model's next version.

    Raises:
        ModelPathTaken, ModelNotFound, RoleTooLow, InvalidRequest: see ``presign_upload``.
    """
    existing = find_target(session, team, path, new.replaces)
    if existing is None:
        check_no_folder_overlaps(session, team.team_id, path, is_folder=bool(new.is_folder))
    if new.is_folder and new.replaces is None:
        # Which file of a folder an upload is, only its registration knows.
        return
    if existing is None:
        return
    if new.file_hash is not None:
        # Imports presign a guess of the size if their source does not say it.
        requested = RequestedContent(new.file_hash, None, new.replaces is not None)
        decide_on_target(session, team, existing, path, requested)
    elif new.replaces is not None:
        check_may_change(team, existing)


def _check_pickle_policy(session: Session, team: TeamContext, path: ModelPath, new: UploadRequest) -> None:
    """Check, before any byte is sent, that the team does not block the format that the file's extension stands for.

    Raises:
        NotAModelFile: it does; the registration would be refused whatever the content is.
    """
    field, name = ("file_name", new.file_name) if new.is_folder else ("model_path", path.relative)
    if find_format(name) == "pickle" and load_pickle_policy(session, team.team_id) == "block":
        refusal = build_pickle_refusal()
        detail = name_file(refusal.detail, name) if new.is_folder else refusal.detail
        raise problems.NotAModelFile(detail, **refusal.facts | {"field": field})


def register_model(
    objects: ObjectChecks,
    team: TeamContext,
    settings: Settings,
    new: NewModel,
    derived_from: DerivedFrom | None = None,
    *,
    keeps_record: bool = False,
) -> RegistrationResult:
    """Register an uploaded file or folder as a model or as a model's next version; a repeated request returns its id.

    A request with a file list is of a folder; the upload is that of its manifest.

    The content is stored before the model exists, so no listed model lacks its content. Content that is too expensive
    to inspect here is registered as pending; verification then refuses it for the same reasons. ``derived_from`` is
    recorded with the version, if the content was converted. With ``keeps_record``, the record of a model that has the
    content already stays as it is.

    Raises:
        ModelPathRefused: the path or type is not allowed.
        ModelTypeUnknown: see ``check_model_type``.
        UploadNotFound: no upload of this team has this key.
        SizeMismatch: another size is declared here than at presign, or see ``check_size_of_hash``.
        UploadIncomplete: the stored size differs from the declared one.
        NotAModelFile, HashMismatch: the content is not a model file, or not the declared one.
        ModelPathTaken: a model with other content is at this path.
        UploadUsed: the upload is registered as another model.
        InvalidRequest: the upload was presigned as a file of a folder, and this is none.
        VerificationQueueFull: the content has to be verified, and the queue is full.
        VersionConflict: the newest version of the model is not the one that the caller expects.
        ModelNotFound, RoleTooLow, InvalidRequest: see ``apply_registration``.
    """
    path = validate_model_path(new.model_type, new.model_path)
    if new.expected_version is not None and new.replaces is None:
        raise problems.InvalidRequest.for_field("expected_version", "Only a request with 'replaces' may have it")
    if new.file_list is not None and derived_from is not None:
        raise problems.InvalidRequest.for_field("file_list", "A converted file is no folder")
    # Without this check, an upload that could repair a damaged object would be discarded as already stored.
    content_key = strip_hash_prefix(new.file_hash), new.file_size
    objects.check_contents(team.team_id, {content_key}, wait_for_store=True)
    with objects.database.reading() as session:
        loaded = load_upload(session, team, new.storage_key)
        if loaded.upload.registered_at is None:
            check_model_type(session, team.team_id, new.model_type)
    check_declared_sizes(loaded.upload.file_size, new.file_size)
    if loaded.upload.is_in_folder and new.file_list is None and loaded.upload.registered_at is None:
        message = "This upload was presigned with 'is_folder': only the registration of a folder may use it"
        raise problems.InvalidRequest.for_field("storage_key", message)
    if loaded.upload.registered_at is not None:
        return apply_repeated_registration(
            objects.database, team, path, new, loaded.upload.model_id, keeps_record=keeps_record
        )

    if new.file_list is None:
        content, files = load_content(objects.store, loaded, new), list[CheckedFile]()
    else:
        content, files = load_folder(objects, team, loaded, path, new)
    check_digest(content.digest, new.file_hash)
    unverified = sum(not each.is_verified for each in (content, *(file.content for file in files)))
    if unverified:
        with objects.database.reading() as session:
            check_verification_queue(session, team.account, settings.verification_queue, unverified)

    checked = CheckedUpload(loaded.upload, content)
    registration = Registration(checked, path, new, derived_from, files, keeps_record=keeps_record)
    return _apply_with_retry(objects, team, registration)


def _apply_with_retry(objects: ObjectChecks, team: TeamContext, registration: Registration) -> RegistrationResult:
    """Apply a registration, once more if another request registers the same path or upload at the same time."""
    try:
        return apply_registration(objects.database, team, registration)
    except IntegrityError:
        with objects.database.reading() as session:
            upload = uploads.get_upload(session, team.team_id, registration.new.storage_key)
        if upload.registered_at is not None:
            path, new, keeps_record = registration.path, registration.new, registration.keeps_record
            return apply_repeated_registration(
                objects.database, team, path, new, upload.model_id, keeps_record=keeps_record
            )
        checked = replace(registration.checked, upload=upload)
        return apply_registration(objects.database, team, replace(registration, checked=checked))
