"""The transaction of a registration: creates a model or a version, or repairs or returns what is there."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import Database, insert_row
from modelyard.server.models.listing.tags import insert_tag_rows
from modelyard.server.models.operations import check_may_change, get_changed_fields, set_fields
from modelyard.server.models.paths import build_path_taken
from modelyard.server.models.registration.blobs import CheckedUpload, get_or_insert_blob, use_upload
from modelyard.server.models.registration.decide import (
    ExistingModel,
    ExistingVersion,
    RegistrationAction,
    RegistrationDecision,
    decide_registration,
)
from modelyard.server.models.registration.target import find_target
from modelyard.server.models.repair import repair_damaged_versions, repair_versions_of_blob
from modelyard.server.models.replicas.labels import build_label_set
from modelyard.server.models.tables import ModelRow, ModelVersionRow, build_search_text
from modelyard.server.models.versions.promotion import promote_if_pending, update_shown_content
from modelyard.server.models.versions.states import find_newest_version, find_shown_version, find_version_with_hash
from modelyard.server.teams.context import TeamContext, check_still_authorized
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems
from modelyard.wire.models import ModelNotes, NewModel
from modelyard.wire.paths import ModelPath

# Fields of the record that every registration sets, also one that adds a version or is repeated, if it has them.
_RECORD_FIELDS = {"display_name", "tags", "required_labels", *ModelNotes.model_fields}
# Fields of the request that are no columns of a model.
_NO_COLUMNS = {"replaces", "expected_version", "note"}


@dataclass(frozen=True)
class Registration:
    """A registration that was checked outside of the transaction: the upload with its content, and the request."""

    checked: CheckedUpload
    path: ModelPath
    new: NewModel


@dataclass(frozen=True)
class RegisteredModel:
    """The id of a registered model, and whether this request created it."""

    id: UUID
    is_new: bool


def apply_registration(database: Database, team: TeamContext, registration: Registration) -> RegisteredModel:
    """Create the model or version of a registration, or repair or return the existing one; all in one transaction.

    Fields of an existing model that the request has are set. If existing content is returned, the upload stays
    unregistered and is deleted when it expires.

    Raises:
        ModelPathTaken: a model with other content is at the path.
        VersionConflict: the model has a newer version than the caller expects.
        UploadUsed: another request has registered the upload.
        UploadIncomplete: see ``decide_blob``.
        ModelNotFound, RoleTooLow, InvalidRequest: the model to replace does not exist, the caller may not change it, or
            the request has another path.
        NotAMember, Unauthenticated: see ``check_still_authorized``.
        IntegrityError: another server registered the same path or upload at the same time.
    """
    with database.writing(team.team_id) as session:
        check_still_authorized(session, team)
        model = find_target(session, team, registration.path, registration.new.replaces)
        if model is None:
            return RegisteredModel(_create_model(session, team, registration), is_new=True)
        decision = _decide(session, model, registration.new)
        if decision.action is RegistrationAction.REFUSE_PATH:
            raise build_path_taken(session, model, registration.path, registration.new.file_hash)
        if decision.version is None:
            check_may_change(team, model)
        if decision.action is RegistrationAction.REFUSE_VERSION:
            raise _build_version_conflict(find_newest_version(session, model.id))
        if decision.action is RegistrationAction.ADD_VERSION:
            _add_version(session, team, registration, model)
        if decision.version is not None and decision.action is RegistrationAction.REPAIR:
            _repair_version(session, team, registration, model, decision.version)
        _set_sent_fields(session, team, model, registration.new, decision.version)
        return RegisteredModel(model.id, is_new=False)


def apply_repeated_registration(
    database: Database, team: TeamContext, path: ModelPath, new: NewModel, registered_model_id: UUID | None
) -> RegisteredModel:
    """Return the model of an upload that was registered before, and set the fields that the request has.

    The model may have got the content from another upload.

    Raises:
        UploadUsed: the model that the request names has no version with this content.
        ModelNotFound, RoleTooLow, InvalidRequest: see ``apply_registration``.
    """
    with database.writing(team.team_id) as session:
        check_still_authorized(session, team)
        model = find_target(session, team, path, new.replaces)
        version = None if model is None else find_version_with_hash(session, model.id, new.file_hash)
        if model is None or version is None:
            raise problems.UploadUsed(
                "This upload is registered already. Request a new upload.", model_id=str(registered_model_id)
            )
        _set_sent_fields(session, team, model, new, version.number)
        return RegisteredModel(model.id, is_new=False)


def _decide(session: Session, model: ModelRow, new: NewModel) -> RegistrationDecision:
    """Return what the registration does with an existing model."""
    shown, newest = (
        ExistingVersion(version.number, version.file_hash, version.verification)
        for version in (find_shown_version(session, model), find_newest_version(session, model.id))
    )
    return decide_registration(
        ExistingModel(shown, newest),
        new.file_hash,
        is_new_version=new.replaces is not None,
        expected_version=new.expected_version,
    )


def _build_version_conflict(newest: ModelVersionRow) -> problems.VersionConflict:
    """Build the problem for a new version that is based on an older one than the newest."""
    return problems.VersionConflict(
        f"{newest.creator_name} has uploaded version {newest.number} meanwhile. Look at it, and push again if your file"
        " should follow it.",
        version=newest.number,
        created_by=newest.creator_name,
        file_hash=newest.file_hash,
    )


def _create_model(session: Session, team: TeamContext, registration: Registration) -> UUID:
    """Insert a model with its first version and its tags, and record it in the team's totals, revision and audit log.

    If its content is verified, that version is current at once, and the team's damaged versions with this content are
    repaired.

    Raises:
        UploadUsed, UploadIncomplete, IntegrityError: see ``apply_registration``.
    """
    new, model_id = registration.new, new_id()
    blob, metadata = get_or_insert_blob(session, registration.checked, new)
    is_verified = blob.verification == "verified"
    content = _build_content(team, registration, blob, metadata)
    added_bytes = use_upload(session, registration.checked.upload, blob, model_id)
    versions = {"current_version": 1 if is_verified else None, "pending_version": None if is_verified else 1}
    model = content | _build_record(registration) | versions | {"id": model_id, "updated_at": content["created_at"]}
    insert_row(session, ModelRow, **model)
    promoted_at = content["created_at"] if is_verified else None
    insert_row(session, ModelVersionRow, **content, model_id=model_id, number=1, note=new.note, promoted_at=promoted_at)
    insert_tag_rows(session, model_id, team.team_id, content["created_at"], new.tags)
    if is_verified and added_bytes:
        repair_damaged_versions(session, blob, team.actor)
    revisions.increment_revision(session, team.team_id, models=1, stored_bytes=added_bytes)
    audited = new.model_dump(mode="json", include={"model_path", "file_hash"})
    audit.record(session, team.actor, team.team_id, "model.registered", model_id, **audited)
    return model_id


def _add_version(session: Session, team: TeamContext, registration: Registration, model: ModelRow) -> None:
    """Insert the next version of a model; it is current at once if its content is verified, else pending.

    Raises:
        UploadUsed, UploadIncomplete, IntegrityError: see ``apply_registration``.
    """
    new, upload = registration.new, registration.checked.upload
    blob, metadata = get_or_insert_blob(session, registration.checked, new)
    added_bytes = use_upload(session, upload, blob, model.id)
    number = model.latest_version + 1
    content = _build_content(team, registration, blob, metadata)
    version = ModelVersionRow(**content, model_id=model.id, number=number, note=new.note)
    session.add(version)
    model.latest_version = model.pending_version = number
    model.version_count += 1
    revisions.increment_revision(session, team.team_id, stored_bytes=added_bytes)
    facts = {"version": number, "model_path": model.model_path, "file_hash": new.file_hash}
    audit.record(session, team.actor, team.team_id, "version.created", model.id, **facts)
    session.flush()
    update_shown_content(session, model)
    promote_if_pending(session, model, version, team.actor)
    if blob.verification == "verified" and added_bytes:
        repair_damaged_versions(session, blob, team.actor)


def _repair_version(
    session: Session, team: TeamContext, registration: Registration, model: ModelRow, number: int
) -> None:
    """Give the uploaded content to a version that failed, and to all others with its blob.

    If the content is verified, it also repairs the team's other damaged versions with this hash; else verification
    does.

    Raises:
        UploadUsed, UploadIncomplete: see ``apply_registration``.
    """
    failed = session.get_one(ModelVersionRow, (model.id, number))
    if registration.new.replaces is not None and failed.promoted_at is None:
        # It may have been superseded since it failed; pushed again, it is the newest wish.
        model.pending_version = number
    blob, metadata = get_or_insert_blob(session, registration.checked, registration.new)
    upload = registration.checked.upload
    added_bytes = use_upload(session, upload, blob, model.id)
    changed = {"storage_key": upload.storage_key, "facts": metadata}
    repair_versions_of_blob(session, blob, team.actor, failed.blob_id, changed)
    if blob.verification == "verified":
        repair_damaged_versions(session, blob, team.actor)
    revisions.increment_revision(session, team.team_id, stored_bytes=added_bytes)


def _set_sent_fields(session: Session, team: TeamContext, model: ModelRow, new: NewModel, version: int | None) -> None:
    """Set the fields that the request has and that differ: of the record, and the note of an existing ``version``.

    Raises:
        RoleTooLow: the caller may not change the model; names the fields.
    """
    values = {name: getattr(new, name) for name in new.model_fields_set & _RECORD_FIELDS}
    # Null means nothing here: clients send it for fields that they do not know.
    sent = {name: value for name, value in values.items() if value is not None}
    changed = get_changed_fields(model, sent)
    existing = None if version is None else session.get_one(ModelVersionRow, (model.id, version))
    is_note_changed = existing is not None and new.note is not None and new.note != existing.note
    if not changed and not is_note_changed:
        return
    check_may_change(team, model, fields=[*changed, *(["note"] if is_note_changed else [])])
    set_fields(session, team, model, sent)
    if existing is not None and is_note_changed:
        existing.note = new.note
        facts = {"version": version, "note": new.note}
        audit.record(session, team.actor, team.team_id, "version.changed", model.id, **facts)


def _build_content(
    team: TeamContext, registration: Registration, blob: BlobRow, metadata: dict[str, Any]
) -> dict[str, Any]:
    """Return the column values that a new version has, and also a new model: the content and who uploaded it."""
    new = registration.new
    return {
        "team_id": team.team_id,
        "storage_key": new.storage_key,
        "blob_id": blob.id,
        "file_size": new.file_size,
        "file_hash": new.file_hash,
        "blake3_hash": blob.blake3_hash,
        "facts": metadata,
        "verification": blob.verification,
        "verification_error": None,
        "verified_at": blob.verified_at,
        "creator_kind": team.creator.kind,
        "creator_id": team.creator.id,
        "creator_name": team.creator.name,
        "created_at": now(),
    }


def _build_record(registration: Registration) -> dict[str, Any]:
    """Return the other column values of a new model, but for its id, versions and time of change."""
    new, path = registration.new, registration.path
    return new.model_dump(exclude=_NO_COLUMNS) | {
        "path_key": path.key,
        "canonical_type": path.canonical_type,
        "label_set": build_label_set(new.required_labels),
        "searched": build_search_text(new.display_name, new.model_path, new.tags),
    }
