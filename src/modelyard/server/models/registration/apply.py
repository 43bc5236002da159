"""The transaction of a registration: creates a model or a version, or repairs or returns what is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import Database, insert_row
from modelyard.server.models.details import (
    OVERRIDES,
    Sources,
    build_listed_metadata,
    build_sidecar,
    derive_details,
)
from modelyard.server.models.listing.tags import insert_tag_rows
from modelyard.server.models.paths import check_no_folder_overlaps
from modelyard.server.models.registration.blobs import CheckedUpload, get_or_insert_blob, use_upload
from modelyard.server.models.registration.decide import RegistrationAction, RequestedContent
from modelyard.server.models.registration.folder_blobs import (
    FolderBlobs,
    insert_folder_files,
    replace_folder_files,
    use_file_uploads,
)
from modelyard.server.models.registration.folder_contents import CheckedFile
from modelyard.server.models.registration.sent_fields import find_ignored_fields, set_sent_fields
from modelyard.server.models.registration.target import decide_on_target, find_target
from modelyard.server.models.repair import repair_with_blobs, repair_with_same_blob
from modelyard.server.models.replicas.labels import build_model_label_set
from modelyard.server.models.search_text import build_search_text
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.folder_states import update_folder_version
from modelyard.server.models.versions.promotion import promote_if_pending, update_shown_content
from modelyard.server.models.versions.states import find_version_with_hash
from modelyard.server.teams.context import TeamContext, reload_team_context
from modelyard.server.teams.permissions import Operation
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems
from modelyard.wire.models import IgnoredField, NewModel
from modelyard.wire.paths import ModelPath
from modelyard.wire.pickles.conversions import DerivedFrom

# Fields of the request that are no columns of a model.
_NO_COLUMNS = {"keeps_name", "replaces", "expected_version", "note", "sidecar", "file_list"}


@dataclass(frozen=True)
class Registration:
    """A registration that was checked outside of the transaction: the upload with its content, and the request.

    Of a folder, the upload is that of its manifest, and ``files`` are what it lists. With ``keeps_record``, the fields
    of a model that exists stay as they are.
    """

    checked: CheckedUpload
    path: ModelPath
    new: NewModel
    derived_from: DerivedFrom | None = None
    files: Sequence[CheckedFile] = ()
    keeps_record: bool = False

    @property
    def requested_content(self) -> RequestedContent:
        """The content that the request has for a model that exists."""
        new = self.new
        return RequestedContent(new.file_hash, new.file_size, new.replaces is not None, new.expected_version)


@dataclass(frozen=True)
class _Content:
    """The content of a new version: its blob with metadata, the files of a folder, and the bytes that it adds."""

    blob: BlobRow
    metadata: dict[str, Any]
    folder: FolderBlobs | None
    added_bytes: int

    @property
    def is_verified(self) -> bool:
        """Whether all of it is verified."""
        return self.blob.verification == "verified" and (self.folder is None or self.folder.is_verified)


@dataclass(frozen=True)
class RegistrationResult:
    """The id of a registered model, whether this request created it, and see ``find_ignored_fields``."""

    id: UUID
    is_new: bool
    ignored: Sequence[IgnoredField] = ()


def apply_registration(database: Database, team: TeamContext, registration: Registration) -> RegistrationResult:
    """Create the model or version of a registration, or repair or return the existing one; all in one transaction.

    Fields of an existing model that the request has are set, unless the registration keeps its record. If existing
    content is returned, the upload stays unregistered and is deleted when it expires.

    Raises:
        ModelPathTaken: a model with other content is at the path.
        VersionConflict: the newest version of the model is not the one that the caller expects.
        SizeMismatch: see ``check_size_of_hash``.
        UploadUsed: another request has registered the upload.
        UploadIncomplete: see ``decide_blob``.
        NotAModelFile: see ``check_known_content``.
        RoleTooLow: it would change a model that the caller may not change; see ``decide_registration``.
        ModelNotFound, InvalidRequest: the model to replace does not exist, or the request has another path.
        NotAMember, RoleTooLow, KeyNotAllowed, Unauthenticated: see ``reload_team_context``.
        IntegrityError: another server registered the same path or upload at the same time.
    """
    with database.writing(team.team_id) as session:
        team = reload_team_context(session, team, Operation.MODELS_UPLOAD)
        model = find_target(session, team, registration.path, registration.new.replaces)
        if model is None:
            is_folder = registration.new.file_list is not None
            check_no_folder_overlaps(session, team.team_id, registration.path, is_folder=is_folder)
            model_id = _create_model(session, team, registration)
            _record_source(session, team, session.get_one(ModelRow, model_id), 1, registration.derived_from)
            return RegistrationResult(model_id, is_new=True)
        _check_same_kind(model, registration)
        decision = decide_on_target(session, team, model, registration.path, registration.requested_content)
        if decision.action is RegistrationAction.ADD_VERSION:
            _add_version(session, team, registration, model)
        if decision.version is not None and decision.action is RegistrationAction.REPAIR:
            _repair_version(session, team, registration, model, decision.version)
        if decision.action is RegistrationAction.REPLACE_OBJECTS:
            _replace_objects(session, team, registration, model)
        if not registration.keeps_record:
            set_sent_fields(session, team, model, registration.new, decision.version)
        number = decision.version or model.latest_version
        _record_source(session, team, model, number, registration.derived_from)
        version = session.get_one(ModelVersionRow, (model.id, number))
        ignored = find_ignored_fields(model, version, registration.path, registration.new)
        return RegistrationResult(model.id, is_new=False, ignored=ignored)


def apply_repeated_registration(
    database: Database,
    team: TeamContext,
    path: ModelPath,
    new: NewModel,
    registered_model_id: UUID | None,
    *,
    keeps_record: bool = False,
) -> RegistrationResult:
    """Return the model of an upload that was registered before, and set the fields that the request has.

    The model may have got the content from another upload.

    Raises:
        UploadUsed: the model that the request names has no version with this content.
        ModelNotFound, RoleTooLow, InvalidRequest: see ``apply_registration``.
    """
    with database.writing(team.team_id) as session:
        team = reload_team_context(session, team, Operation.MODELS_UPLOAD)
        model = find_target(session, team, path, new.replaces)
        version = None if model is None else find_version_with_hash(session, model.id, new.file_hash)
        if model is None or version is None:
            raise problems.UploadUsed(
                "This upload is registered already. Request a new upload.", model_id=str(registered_model_id)
            )
        if not keeps_record:
            set_sent_fields(session, team, model, new, version.number)
        ignored = find_ignored_fields(model, version, path, new)
        return RegistrationResult(model.id, is_new=False, ignored=ignored)


def _check_same_kind(model: ModelRow, registration: Registration) -> None:
    """Check that the next version of a folder is a folder, and that of a file a file.

    Raises:
        InvalidRequest: it is not so; only of a request that replaces a model.
    """
    if registration.new.replaces is not None and model.is_folder != (registration.new.file_list is not None):
        kind = "a folder" if model.is_folder else "one file"
        raise problems.InvalidRequest.for_field("replaces", f"This model is {kind}, and so are its next versions")


def _use_content(session: Session, team: TeamContext, registration: Registration, model_id: UUID) -> _Content:
    """Get or insert the blobs of a registration, and mark its uploads as registered.

    Raises:
        UploadUsed, UploadIncomplete, NotAModelFile: see ``apply_registration``.
    """
    blob, metadata = get_or_insert_blob(session, registration.checked, registration.new)
    added = use_upload(session, registration.checked.upload, blob, model_id)
    folder = use_file_uploads(session, team.team_id, registration.files, model_id) if registration.files else None
    return _Content(blob, metadata, folder, added + (folder.added_bytes if folder else 0))


def _create_model(session: Session, team: TeamContext, registration: Registration) -> UUID:
    """Insert a model with its first version and its tags, and record it in the team's totals, revision and audit log.

    If its content is verified, that version is current at once, and the team's damaged versions with this content are
    repaired.

    Raises:
        UploadUsed, UploadIncomplete, IntegrityError: see ``apply_registration``.
    """
    new, model_id = registration.new, new_id()
    used = _use_content(session, team, registration, model_id)
    is_verified = used.is_verified
    content = _build_content(team, registration, used)
    versions = {"current_version": 1 if is_verified else None, "pending_version": None if is_verified else 1}
    model = content | _build_record(registration, used.metadata) | versions
    model |= {"id": model_id, "updated_at": content["created_at"]}
    insert_row(session, ModelRow, **model, searched=build_search_text(model))
    promoted_at = content["created_at"] if is_verified else None
    version = content | {"note": new.note, "sidecar": build_sidecar(new.sidecar), "promoted_at": promoted_at}
    version["history_position"] = 1 if is_verified else None
    # A folder has no picture of its own.
    picture = {"preview_source": "none"} if used.folder is not None else {}
    insert_row(session, ModelVersionRow, **version, **picture, model_id=model_id, number=1)
    if used.folder is not None:
        insert_folder_files(session, used.folder, model_id, 1)
    insert_tag_rows(session, model_id, team.team_id, content["created_at"], new.tags)
    _repair_others(session, team, used)
    revisions.increment_revision(session, team.team_id, models=1, stored_bytes=used.added_bytes)
    audited = new.model_dump(mode="json", include={"model_path", "file_hash"})
    audit.record(session, team.actor, team.team_id, "model.registered", model_id, **audited)
    if is_verified:
        _record_verified(session, team, model_id, new.model_path, 1)
    return model_id


def _repair_others(session: Session, team: TeamContext, used: _Content) -> None:
    """Repair the team's damaged versions that have content of this registration, and replace doubtful blobs with it.

    Does nothing for pending content.
    """
    repair_with_blobs(session, [used.blob, *(used.folder.inserted if used.folder else ())], team.actor)


def _record_source(
    session: Session, team: TeamContext, model: ModelRow, number: int, source: DerivedFrom | None
) -> None:
    """Record what a version was converted from, and copy it into the model's row if that shows the version.

    Increments the team's revision, and records an audit event. Does nothing without a source, or if it is recorded
    already.
    """
    version = session.get_one(ModelVersionRow, (model.id, number))
    if source is None or version.derived_from == source.model_dump(mode="json"):
        return
    version.derived_from = source.model_dump(mode="json")
    update_shown_content(session, model)
    revisions.increment_revision(session, team.team_id)
    facts = {"model_path": model.model_path, "version": number, "derived_from": version.derived_from}
    audit.record(session, team.actor, team.team_id, "model.converted", model.id, **facts)


def _record_verified(session: Session, team: TeamContext, model_id: UUID, model_path: str, number: int) -> None:
    """Record the audit event of a version that was verified as it was registered, without a wait for verification."""
    facts = {"model_path": model_path, "version": number}
    audit.record(session, audit.SYSTEM, team.team_id, "model.verified", model_id, **facts)


def _add_version(session: Session, team: TeamContext, registration: Registration, model: ModelRow) -> None:
    """Insert the next version of a model and its files; it is current at once if its content is verified, else pending.

    Marks the uploads as registered, increments the team's revision, adds to its stored bytes, and records audit events.
    Verified content also repairs the team's damaged versions that have it. The model's row shows the new version if
    it is current, or if none was.

    Raises:
        UploadUsed, UploadIncomplete, NotAModelFile, IntegrityError: see ``apply_registration``.
    """
    new = registration.new
    used = _use_content(session, team, registration, model.id)
    number = model.latest_version + 1
    content = _build_content(team, registration, used)
    content |= {"note": new.note, "sidecar": build_sidecar(new.sidecar)}
    if used.folder is not None:
        content["preview_source"] = "none"
    version = ModelVersionRow(**content, model_id=model.id, number=number)
    session.add(version)
    model.latest_version = model.pending_version = number
    model.version_count += 1
    revisions.increment_revision(session, team.team_id, stored_bytes=used.added_bytes)
    facts = {"version": number, "model_path": model.model_path, "file_hash": new.file_hash}
    audit.record(session, team.actor, team.team_id, "version.created", model.id, **facts)
    session.flush()
    if used.folder is not None:
        insert_folder_files(session, used.folder, model.id, number)
    if used.is_verified:
        _record_verified(session, team, model.id, model.model_path, number)
    update_shown_content(session, model)
    promote_if_pending(session, model, version, team.actor)
    _repair_others(session, team, used)


def _repair_version(
    session: Session, team: TeamContext, registration: Registration, model: ModelRow, number: int
) -> None:
    """Give the uploaded content to a version that failed, and to others with its blob.

    A folder gets the blobs of the new uploads, and a version that is pushed again as the model's next one is pending
    again. If the content is verified, the team's other damaged versions with it are repaired too; otherwise
    verification repairs them. Adds to the team's stored bytes, increments its revision, and records audit events.

    Raises:
        UploadUsed, UploadIncomplete: see ``apply_registration``.
    """
    failed = session.get_one(ModelVersionRow, (model.id, number))
    if registration.new.replaces is not None and failed.promoted_at is None:
        # It may have been superseded since it failed; pushed again, it is the newest wish.
        model.pending_version = number
    used = _use_content(session, team, registration, model.id)
    upload = registration.checked.upload
    if used.folder is not None:
        failed.blob_id, failed.storage_key = used.blob.id, upload.storage_key
        replace_folder_files(session, used.folder, model.id, number)
        update_folder_version(session, failed, "model.repaired", team.actor)
    else:
        # Of content that was never verified, the size was that of other bytes.
        changed = {"storage_key": upload.storage_key, "file_size": used.blob.size, "facts": used.metadata}
        repair_with_same_blob(session, failed, used.blob, team.actor, changed)
    _repair_others(session, team, used)
    revisions.increment_revision(session, team.team_id, stored_bytes=used.added_bytes)


def _replace_objects(session: Session, team: TeamContext, registration: Registration, model: ModelRow) -> None:
    """Use the uploaded content instead of the doubtful objects of a version: at once if it is verified.

    Otherwise verification does that later: until then the version keeps its state and objects, since the new bytes may
    be wrong. Marks the uploads as registered, adds to the team's stored bytes, and increments its revision.

    Raises:
        UploadUsed, UploadIncomplete: see ``apply_registration``.
    """
    used = _use_content(session, team, registration, model.id)
    _repair_others(session, team, used)
    revisions.increment_revision(session, team.team_id, stored_bytes=used.added_bytes)


def _build_content(team: TeamContext, registration: Registration, used: _Content) -> dict[str, Any]:
    """Return the column values that a new version has, and also a new model: the content and who uploaded it."""
    new, blob = registration.new, used.blob
    files = registration.files
    verified_at = blob.verified_at if used.folder is None else now()
    return {
        "team_id": team.team_id,
        "storage_key": new.storage_key,
        "blob_id": blob.id,
        "file_size": new.file_size,
        "file_hash": new.file_hash,
        "blake3_hash": blob.blake3_hash,
        "total_size": sum(file.file.size for file in files) if files else None,
        "file_count": len(files) if files else None,
        "facts": used.metadata,
        "verification": "verified" if used.is_verified else "pending",
        "verification_error": None,
        "verified_at": verified_at if used.is_verified else None,
        "creator_kind": team.creator.kind,
        "creator_id": team.creator.id,
        "creator_name": team.creator.name,
        "created_at": now(),
    }


def _build_record(registration: Registration, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the other column values of a new model, but for its id, versions and time of change."""
    new, path = registration.new, registration.path
    sent = {OVERRIDES.get(name, name): value for name, value in new.model_dump(exclude=_NO_COLUMNS).items()}
    own = {name: getattr(new, name) for name in OVERRIDES}
    sources = Sources(**own, sidecar=build_sidecar(new.sidecar), model_path=new.model_path)
    derived = derive_details(metadata, sources)
    return (
        sent
        | derived
        | {
            "facts": build_listed_metadata(metadata),
            "path_key": path.key,
            "canonical_type": path.canonical_type,
            "label_set": build_model_label_set(new.required_labels, is_folder=bool(registration.files)),
        }
    )
