"""The transaction of a registration: creates the model, or repairs the existing one, and discards unused uploads."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import Database, insert_row
from modelyard.server.inspection import inspector
from modelyard.server.models.listing.tags import insert_tag_rows
from modelyard.server.models.operations import check_may_change, move_to_trash
from modelyard.server.models.paths import build_path_taken, find_model_at_path
from modelyard.server.models.registration.decide import (
    ExistingBlob,
    ExistingModel,
    PathAction,
    UploadedContent,
    decide_blob,
    decide_path_action,
    strip_hash_prefix,
)
from modelyard.server.models.repair import repair_damaged_models, repair_models_with_content
from modelyard.server.models.replicas import succession
from modelyard.server.models.replicas.labels import build_label_set
from modelyard.server.models.tables import ModelRow, build_search_text
from modelyard.server.storage.blob_store import StoredObject
from modelyard.server.teams.context import TeamContext, check_still_authorized
from modelyard.server.uploads import operations as uploads
from modelyard.server.uploads.discards import DiscardedObject, discard
from modelyard.server.uploads.tables import BlobRow, UploadRow
from modelyard.wire import problems
from modelyard.wire.models import ModelNotes, NewModel
from modelyard.wire.paths import ModelPath


@dataclass(frozen=True)
class Registration:
    """A registration that was checked outside of the transaction: the upload, its content, and the new model."""

    upload: UploadRow
    path: ModelPath
    new: NewModel
    content: UploadedContent


@dataclass(frozen=True)
class RegisteredModel:
    """The id of a registered model, and whether this request created it."""

    id: UUID
    is_new: bool


def apply_registration(database: Database, team: TeamContext, registration: Registration) -> RegisteredModel:
    """Create the model of a registration, or repair or return the existing one; all in one transaction.

    If the existing model is returned, the upload stays unregistered and is deleted when it expires.

    Raises:
        ModelPathTaken: a model with other content is at the path.
        UploadUsed: another request has registered the upload.
        UploadIncomplete: see ``decide_blob``.
        ModelNotFound, RoleTooLow: the model to replace does not exist, or the caller may not change it.
        NotAMember, Unauthenticated: see ``check_still_authorized``.
        IntegrityError: another server registered the same path or upload at the same time.
    """
    path, file_hash = registration.path, registration.new.file_hash
    with database.writing(team.team_id) as session:
        check_still_authorized(session, team)
        model_id = new_id()
        new = _replace_model(session, team, registration.new, model_id)
        existing = find_model_at_path(session, team.team_id, path)
        state = None if existing is None else ExistingModel(existing.file_hash, existing.verification)
        action = decide_path_action(state, file_hash)
        if existing is None:
            _create_model(session, team, registration, new, model_id)
            return RegisteredModel(model_id, is_new=True)
        if action is PathAction.REFUSE:
            raise build_path_taken(session, existing, path, file_hash)
        if action is PathAction.REPAIR:
            _repair_model(session, team, registration, existing)
        succession.hand_over(session, model_id, existing.id)
        succession.let_go(session, existing)
        return RegisteredModel(existing.id, is_new=False)


def _replace_model(session: Session, team: TeamContext, new: NewModel, successor: UUID) -> NewModel:
    """Move the model that ``new`` replaces, if any, to the trash; return ``new`` with its unset fields filled from it.

    These fields are the notes, the tags and the required labels. A repeated request finds the model in the trash, or
    finds the new content under its id; it is not moved then.

    Raises:
        ModelNotFound: the team has no such model.
        RoleTooLow: the caller may not change it.
    """
    if new.replaces is None:
        return new
    replaced = session.get(ModelRow, new.replaces)
    if replaced is None or replaced.team_id != team.team_id:
        raise problems.ModelNotFound("The model to replace does not exist.", field="replaces")
    if replaced.deleted_at is None and replaced.file_hash != new.file_hash:
        check_may_change(team, replaced)
        move_to_trash(session, replaced, successor)
        audit.record(session, team.actor, team.team_id, "model.replaced", replaced.id, model_path=replaced.model_path)
        revisions.increment_revision(session, team.team_id, models=-1)
    unset = (set(ModelNotes.model_fields) | {"tags", "required_labels"}) - new.model_fields_set
    return new.model_copy(update={name: getattr(replaced, name) for name in unset})


def _create_model(
    session: Session, team: TeamContext, registration: Registration, new: NewModel, model_id: UUID
) -> None:
    """Insert a model with its tags, and record it in the team's totals, revision and audit trail.

    If its content is verified, machines get it at once instead of the model that it replaces, and the team's damaged
    models with this content are repaired.

    Raises:
        UploadUsed, UploadIncomplete, IntegrityError: see ``apply_registration``.
    """
    blob, metadata = _get_or_insert_blob(session, registration)
    model = _build_values(team, registration.path, new, blob) | {"id": model_id, "facts": metadata}
    added_bytes = _use_upload(session, registration.upload, blob, model_id)
    insert_row(session, ModelRow, **model)
    insert_tag_rows(session, model_id, team.team_id, model["created_at"], new.tags)
    if blob.verification == "verified":
        succession.take_place(session, team.team_id, registration.path.key)
        succession.take_over(session, model_id)
        if added_bytes:
            repair_damaged_models(session, blob, team.actor)
    revisions.increment_revision(session, team.team_id, models=1, stored_bytes=added_bytes)
    audited = new.model_dump(mode="json", include={"model_path", "file_hash", "replaces"}, exclude_none=True)
    audit.record(session, team.actor, team.team_id, "model.registered", model_id, **audited)


def _repair_model(session: Session, team: TeamContext, registration: Registration, damaged: ModelRow) -> None:
    """Give the uploaded content to a damaged model and to all others with its blob.

    If the content is verified, it also repairs the team's other damaged models with this hash; else verification does.

    Raises:
        UploadUsed, UploadIncomplete: see ``apply_registration``.
    """
    blob, metadata = _get_or_insert_blob(session, registration)
    upload = registration.upload
    added_bytes = _use_upload(session, upload, blob, damaged.id)
    changed = {"storage_key": upload.storage_key, "facts": metadata}
    repair_models_with_content(session, blob, team.actor, damaged.blob_id, changed)
    if blob.verification == "verified":
        repair_damaged_models(session, blob, team.actor)
    revisions.increment_revision(session, team.team_id, stored_bytes=added_bytes)


def _use_upload(session: Session, upload: UploadRow, blob: BlobRow, model_id: UUID) -> int:
    """Mark an upload as registered; return by how many bytes the team's stored content grew.

    If the team has the content in another blob, the result is 0, and the object, if one was uploaded, is discarded.

    Raises:
        UploadUsed: another request has registered the upload.
    """
    if not uploads.mark_upload_registered(session, upload, blob.id, model_id):
        raise problems.UploadUsed("This upload was registered by another request a moment ago. Request a new upload.")
    if blob.store_key == upload.storage_key:
        return blob.size
    if upload.blob_id is None:
        discard(session, [DiscardedObject(upload.team_id, upload.storage_key)], now())
    return 0


def _get_or_insert_blob(session: Session, registration: Registration) -> tuple[BlobRow, dict[str, Any]]:
    """Return the blob for the content of a registration, and the metadata of its model.

    The blob is a new row, or the team's existing one, which goes back into the verification queue if nothing knows its
    metadata.

    Raises:
        UploadIncomplete: see ``decide_blob``.
    """
    upload, new, content = registration.upload, registration.new, registration.content
    sha256 = strip_hash_prefix(new.file_hash)
    blob = uploads.find_verified_blob(session, upload.team_id, sha256, new.file_size)
    existing = None if blob is None else ExistingBlob(content.metadata or _find_metadata(session, blob))
    decision = decide_blob(content, existing, was_presigned_as_stored=upload.blob_id is not None)
    metadata = decision.metadata or inspector.build_uninspected_metadata(new.model_path)
    if blob is None or not decision.use_existing:
        digest = None if decision.needs_verification else content.digest
        stored = StoredObject(content.size, digest, content.version)
        return uploads.insert_blob(session, upload, sha256, stored), metadata
    blob.unused_since = None
    if decision.needs_verification:
        uploads.queue_for_verification(session, blob)
    return blob, metadata


def _find_metadata(session: Session, blob: BlobRow) -> dict[str, Any] | None:
    """Return the metadata of any model with this blob; the format is the same, since the content is."""
    return session.scalar(select(ModelRow.facts).where(ModelRow.blob_id == blob.id).limit(1))


def _build_values(team: TeamContext, path: ModelPath, new: NewModel, blob: BlobRow) -> dict[str, Any]:
    """Return the column values of a new model, but for its id and metadata."""
    moment = now()
    return new.model_dump(exclude={"replaces"}) | {
        "team_id": team.team_id,
        "path_key": path.key,
        "canonical_type": path.canonical_type,
        "blob_id": blob.id,
        "verification": blob.verification,
        "verified_at": blob.verified_at,
        "blake3_hash": blob.blake3_hash,
        "creator_kind": team.creator.kind,
        "creator_id": team.creator.id,
        "creator_name": team.creator.name,
        "label_set": build_label_set(new.required_labels),
        "searched": build_search_text(new.display_name, new.model_path, new.tags),
        "created_at": moment,
        "updated_at": moment,
    }
