"""Repair versions whose stored object was missing or corrupt after a new upload of the same content."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.database.base import now
from modelyard.server.database.session import get_table, split_ids
from modelyard.server.models.tables import FolderFileRow, ModelRow, ModelVersionRow
from modelyard.server.models.versions.folder_states import repair_folder_files, update_folder_versions
from modelyard.server.models.versions.promotion import promote_if_pending, update_shown_content
from modelyard.server.uploads.tables import DOUBTFUL, FAILED, BlobRow, UploadRow

# A failed version that is its model's pending one has wrong bytes of its own: only who may change the model says that
# others make it current.
_IS_PENDING = (
    select(ModelRow.id)
    .where(ModelRow.id == ModelVersionRow.model_id, ModelRow.pending_version == ModelVersionRow.number)
    .exists()
)
# These were verified once, so their content has the format of their path, and only the hash must be equal.
_DAMAGED = select(ModelVersionRow).where(
    ModelVersionRow.team_id == bindparam("team"),
    ModelVersionRow.file_hash == bindparam("file_hash"),
    ModelVersionRow.verification == "failed",
    ModelVersionRow.verified_at.is_not(None),
    ModelVersionRow.blob_id != bindparam("blob"),
    ModelVersionRow.file_count.is_(None),
    ~_IS_PENDING,
)
# The manifest of such a folder was verified once; whether the folder is whole is another question.
_DAMAGED_FOLDERS = (
    select(ModelVersionRow)
    .join(BlobRow, BlobRow.id == ModelVersionRow.blob_id)
    .where(
        ModelVersionRow.team_id == bindparam("team"),
        ModelVersionRow.file_hash == bindparam("file_hash"),
        ModelVersionRow.verification == "failed",
        ModelVersionRow.blob_id != bindparam("blob"),
        ModelVersionRow.file_count.is_not(None),
        BlobRow.verified_at.is_not(None),
    )
)


def repair_with_same_blob(
    session: Session, repaired: ModelVersionRow, blob: BlobRow, actor: audit.Actor, changed: Mapping[str, Any]
) -> None:
    """Give a version and those that share its blob the new ``blob``, which may be pending, with ``changed`` fields.

    If ``repaired`` is verified and the model's pending version, it becomes current. Other pending versions stay failed:
    the caller may have no right to change their models. The caller increments the team's revision.
    """
    of_blob = select(ModelVersionRow).where(ModelVersionRow.blob_id == repaired.blob_id, ~_IS_PENDING)
    for version in {repaired, *session.scalars(of_blob).all()}:
        for name, value in changed.items():
            setattr(version, name, value)
        _repair(session, version, blob, actor)
    promote_if_pending(session, session.get_one(ModelRow, repaired.model_id), repaired, actor)


def repair_damaged_versions(session: Session, blob: BlobRow, actor: audit.Actor) -> bool:
    """Give the team's damaged versions with the same content the verified ``blob``, also those in the trash.

    None becomes current by that, but for a pending folder of which all own uploads were right. Returns whether one
    changed. The caller increments the team's revision.
    """
    values = {"team": blob.team_id, "file_hash": f"sha256:{blob.sha256}", "blob": blob.id}
    damaged = session.scalars(_DAMAGED, values).all()
    for version in damaged:
        _repair(session, version, blob, actor)
    for folder in session.scalars(_DAMAGED_FOLDERS, values).all():
        folder.blob_id = blob.id
    blob.unused_since = None
    repair_folder_files(session, blob)
    return update_folder_versions(session, blob, "model.repaired", actor) or bool(damaged)


def repair_with_blobs(session: Session, blobs: Sequence[BlobRow], actor: audit.Actor) -> None:
    """Repair the team's damaged versions with the content of those new ``blobs`` that are verified.

    Doubtful blobs with that content are replaced as well. The caller increments the team's revision.
    """
    verified = {blob.sha256: blob for blob in blobs if blob.verification == "verified" and not blob.is_doubtful}
    for part in split_ids(sorted(verified)):
        is_failed = BlobRow.team_id == verified[part[0]].team_id, BlobRow.sha256.in_(part), FAILED
        for sha256 in session.scalars(select(BlobRow.sha256).where(*is_failed).distinct()).all():
            repair_damaged_versions(session, verified[sha256], actor)
    replace_doubtful_blobs(session, list(verified.values()))


def replace_doubtful_blobs(session: Session, blobs: Sequence[BlobRow]) -> None:
    """Let all that uses the team's doubtful blobs use those of the verified ``blobs`` with the same content instead.

    No state changes by that. Garbage collection deletes the doubtful blobs, also if their objects turn out intact.
    """
    by_content = {(blob.sha256, blob.size): blob for blob in blobs}
    replaced: list[tuple[BlobRow, BlobRow]] = []
    for part in split_ids(sorted({blob.sha256 for blob in blobs})):
        doubtful = select(BlobRow).where(BlobRow.team_id == blobs[0].team_id, BlobRow.sha256.in_(part), DOUBTFUL)
        for blob in session.scalars(doubtful).all():
            kept = by_content.get((blob.sha256, blob.size))
            if kept is not None and kept.id != blob.id:
                replaced.append((blob, kept))
                blob.unused_since = now()
    use_other_blobs(session, replaced)


def use_other_blobs(session: Session, replaced: Sequence[tuple[BlobRow, BlobRow]]) -> None:
    """Replace the first blob of each pair by the second in all versions, models, files of folders and uploads.

    Both have the same content. The session is flushed first; the second blob counts as used.
    """
    if not replaced:
        return
    session.flush()
    pairs = [{"replaced": blob.id, "kept": kept.id} for blob, kept in replaced]
    for table in map(get_table, (ModelVersionRow, ModelRow, UploadRow, FolderFileRow)):
        use_kept = update(table).where(table.c.blob_id == bindparam("replaced")).values(blob_id=bindparam("kept"))
        session.connection().execute(use_kept, pairs)
    for _, kept in replaced:
        kept.unused_since = None


def _repair(session: Session, version: ModelVersionRow, blob: BlobRow, actor: audit.Actor) -> None:
    """Give a version another blob and that blob's verification state, and record the audit event ``model.repaired``."""
    version.blob_id = blob.id
    version.verification, version.verification_error = blob.verification, None
    version.verified_at = version.verified_at or blob.verified_at
    version.blake3_hash = blob.blake3_hash or version.blake3_hash
    model = session.get_one(ModelRow, version.model_id)
    facts = {"model_path": model.model_path, "version": version.number}
    audit.record(session, actor, model.team_id, "model.repaired", model.id, **facts)
    update_shown_content(session, model)
