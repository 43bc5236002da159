"""Setting the verification state of a blob, which is copied to every version with that blob."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.folder_states import update_folder_versions
from modelyard.server.models.versions.promotion import promote_if_pending, update_shown_content
from modelyard.server.uploads.content_states import Failed, Pending, Verified, set_content_state
from modelyard.server.uploads.tables import BlobRow


def set_verification_state(
    session: Session,
    blob: BlobRow,
    state: Verified | Failed,
    action: str,
    metadata: Mapping[UUID, dict[str, Any]] | None = None,
) -> bool:
    """Mark a blob that was just checked, and its versions, as verified or failed.

    Returns whether a version changed: a folder does not with each of its files.

    A verified version that is the pending one of its model becomes current. Each version gets an audit event ``action``
    and, if its model has an entry by its id, new ``metadata``. The caller increments the team's revision. If a verified
    blob is damaged, ``verified_at`` and the BLAKE3 hash stay, so that machines keep their intact copies.
    """
    set_content_state(session, blob, state)
    versions = _list_versions_of_one_file(session, blob.id)
    for version in versions:
        version.verification, version.verification_error = blob.verification, blob.verification_error
        version.blake3_hash = blob.blake3_hash or version.blake3_hash
        version.verified_at = version.verified_at or blob.verified_at
        version.facts = (metadata or {}).get(version.model_id, version.facts)
        model = session.get_one(ModelRow, version.model_id)
        facts = {"model_path": model.model_path, "version": version.number}
        audit.record(session, audit.SYSTEM, model.team_id, action, model.id, **facts)
        update_shown_content(session, model)
        promote_if_pending(session, model, version, audit.SYSTEM)
    return update_folder_versions(session, blob, action, audit.SYSTEM) or bool(versions)


def set_pending_reason(session: Session, blob: BlobRow, reason: str) -> bool:
    """Set why a pending blob, and its versions, could not be verified yet; return whether a version changed.

    The caller increments the team's revision. The next result of the verification replaces the reason.
    """
    blob.verification_error = reason
    changed = [one for one in _list_versions_of_one_file(session, blob.id) if one.verification_error != reason]
    for version in changed:
        version.verification_error = reason
        update_shown_content(session, session.get_one(ModelRow, version.model_id))
    return update_folder_versions(session, blob, None, audit.SYSTEM) or bool(changed)


def _list_versions_of_one_file(session: Session, blob_id: UUID) -> Sequence[ModelVersionRow]:
    """Return the versions whose whole content is a blob: not the folders whose manifest it is."""
    is_one = (ModelVersionRow.blob_id == blob_id) & ModelVersionRow.file_count.is_(None)
    return session.scalars(select(ModelVersionRow).where(is_one)).all()


def verify_again(session: Session, blob: BlobRow) -> None:
    """Put a blob that failed its first verification back into the queue, and its versions back to pending.

    The caller increments the team's revision.
    """
    set_content_state(session, blob, Pending())
    for version in _list_versions_of_one_file(session, blob.id):
        version.verification, version.verification_error = blob.verification, None
        update_shown_content(session, session.get_one(ModelRow, version.model_id))
    update_folder_versions(session, blob, None, audit.SYSTEM)


def set_metadata(session: Session, blob_id: UUID, metadata: Mapping[str, dict[str, Any]]) -> None:
    """Set the metadata of all versions of one file that have a blob, by the extension of their model's path.

    The rows of models that show such a version are updated too. The caller increments the team's revision.
    """
    for version in _list_versions_of_one_file(session, blob_id):
        model = session.get_one(ModelRow, version.model_id)
        found = metadata.get(PurePosixPath(model.model_path).suffix)
        if found is not None and found != version.facts:
            version.facts = found
            # The record of a model changes only with the version that it shows.
            if version.number == model.shown_version:
                update_shown_content(session, model)
