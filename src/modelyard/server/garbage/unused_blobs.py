"""Blobs that no version and no open upload references: marked first, deleted after a grace time."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, false, func, or_, select, true, update
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.database.session import execute_and_count
from modelyard.server.garbage.run_state import PAGE, CollectionRun, group_by_team
from modelyard.server.garbage.version_retention import build_expired_condition
from modelyard.server.models.tables import FolderFileRow, ModelRow, ModelVersionRow
from modelyard.server.teams.tables import TeamRow
from modelyard.server.uploads.discards import DiscardedObject, discard
from modelyard.server.uploads.tables import BlobRow, UploadRow

# Blobs that one statement compares with versions and uploads, at most.
_IDS_PER_RANGE = 20 * PAGE
_COLUMNS = (BlobRow.id, BlobRow.team_id, BlobRow.store_key, BlobRow.size, BlobRow.unused_since)


def mark_unused_blobs(session: Session, blob_ids: Iterable[UUID], run: CollectionRun) -> None:
    """Start the grace time of the given blobs that no version and no unregistered upload references.

    A blob that is marked already keeps its time.
    """
    ids = list(set(blob_ids))
    for start in range(0, len(ids), PAGE):
        unmarked = BlobRow.id.in_(ids[start : start + PAGE]) & BlobRow.unused_since.is_(None) & _is_unreferenced()
        execute_and_count(session, update(BlobRow).where(unmarked).values(unused_since=run.moment))


def delete_unused_blobs(run: CollectionRun) -> Iterator[list[DiscardedObject]]:
    """Delete blobs that were unused for the grace time, and discard their objects; mark blobs that are unused now.

    Works while it is iterated. Yields their objects in a dry run, which deletes nothing, and else nothing.
    """
    for page in _list_unused(run):
        due = [blob for blob in page if (blob.unused_since or run.moment) <= run.discarded_before]
        if run.options.is_dry:
            yield [DiscardedObject(blob.team_id, blob.store_key, size=blob.size) for blob in due]
            continue
        for team_id, blobs in group_by_team(page).items():
            with run.database.writing(team_id) as session:
                mark_unused_blobs(session, [blob.id for blob in blobs], run)
                _delete_blobs(session, [blob.id for blob in blobs if blob in due], run)


def _list_unused(run: CollectionRun) -> Iterator[Sequence[Row[Any]]]:
    """Yield pages of unreferenced blobs: those marked for the grace time, or in a thorough run all, marked or not."""
    unreferenced = _is_unreferenced(run if run.options.is_dry else None)
    if not run.options.is_thorough:
        yield from run.iterate_pages(
            select(*_COLUMNS).where(BlobRow.unused_since <= run.discarded_before, unreferenced), BlobRow.id
        )
        return
    for id_range in _split_ids(run):
        yield from run.iterate_pages(select(*_COLUMNS).where(id_range, unreferenced), BlobRow.id)


def _split_ids(run: CollectionRun) -> Iterator[ColumnElement[bool]]:
    """Yield conditions that divide all blobs by id, so that no statement takes long."""
    after: UUID | None = None
    while True:
        ids = select(BlobRow.id).order_by(BlobRow.id)
        first_ids = ids if after is None else ids.where(BlobRow.id > after)
        with run.database.reading() as session:
            last = session.scalar(first_ids.offset(_IDS_PER_RANGE - 1).limit(1))
        bounds = [] if after is None else [BlobRow.id > after]
        yield and_(true(), *bounds, *([] if last is None else [BlobRow.id <= last]))
        if last is None:
            return
        after = last


def build_kept_condition(before: datetime) -> ColumnElement[bool]:
    """Build the condition that a model is kept: not deleted, or deleted after ``before``."""
    return or_(ModelRow.deleted_at.is_(None), ModelRow.deleted_at >= before)


def _is_unreferenced(after_run: CollectionRun | None = None) -> ColumnElement[bool]:
    """Build the condition that no version, in the trash or not, no file of one and no open upload references a blob.

    With ``after_run``, as it will be after that run has removed what has expired.
    """
    versions = select(ModelVersionRow.model_id).where(ModelVersionRow.blob_id == BlobRow.id)
    is_its_version = and_(
        ModelVersionRow.model_id == FolderFileRow.model_id, ModelVersionRow.number == FolderFileRow.number
    )
    files = (
        select(FolderFileRow.model_id).join(ModelVersionRow, is_its_version).where(FolderFileRow.blob_id == BlobRow.id)
    )
    uploads = select(UploadRow.id).where(UploadRow.blob_id == BlobRow.id, UploadRow.registered_at.is_(None))
    if after_run is not None:
        trashed = after_run.moment - timedelta(days=after_run.settings.trash_days)
        deleted_teams = select(TeamRow.id).where(TeamRow.deleted_at < trashed)
        is_kept = (
            build_kept_condition(trashed),
            ModelRow.team_id.not_in(deleted_teams),
            # A comparison with a missing time is null, which is no "no".
            ~func.coalesce(build_expired_condition(after_run), false()),
        )
        versions = versions.join(ModelRow, ModelRow.id == ModelVersionRow.model_id).where(*is_kept)
        files = files.join(ModelRow, ModelRow.id == ModelVersionRow.model_id).where(*is_kept)
        touched = after_run.moment - timedelta(days=after_run.settings.upload_days)
        uploads = uploads.where(UploadRow.touched_at >= touched)
    return ~versions.exists() & ~files.exists() & ~uploads.exists()


def list_blobs_of_versions(session: Session, condition: ColumnElement[bool]) -> list[UUID]:
    """Return the blobs of the versions that meet a condition, and of the files of those that are folders."""
    of_versions = session.scalars(select(ModelVersionRow.blob_id).where(condition))
    is_its_version = and_(
        ModelVersionRow.model_id == FolderFileRow.model_id, ModelVersionRow.number == FolderFileRow.number
    )
    of_files = select(FolderFileRow.blob_id).join(ModelVersionRow, is_its_version).where(condition).distinct()
    return [*of_versions, *session.scalars(of_files)]


def _delete_blobs(session: Session, blob_ids: Sequence[UUID], run: CollectionRun) -> None:
    """Delete those of one team's blobs that are still unused, with their uploads, and discard their objects."""
    due = BlobRow.id.in_(blob_ids) & (BlobRow.unused_since <= run.discarded_before) & _is_unreferenced()
    blobs = session.scalars(select(BlobRow).where(due).with_for_update()).all()
    if not blobs:
        return
    ids = [blob.id for blob in blobs]
    uploads = session.scalars(select(UploadRow).where(UploadRow.blob_id.in_(ids))).all()
    discarded = [DiscardedObject(blob.team_id, blob.store_key) for blob in blobs]
    discard(
        session,
        discarded + [item for upload in uploads for item in list_objects_of_upload(upload)],
        run.discarded_before,
    )
    session.execute(delete(UploadRow).where(UploadRow.id.in_([upload.id for upload in uploads])))
    session.execute(delete(BlobRow).where(BlobRow.id.in_(ids)))
    revisions.change_stored_bytes(session, blobs[0].team_id, stored_bytes=-sum(blob.size for blob in blobs))


def list_objects_of_upload(upload: UploadRow) -> list[DiscardedObject]:
    """Return the objects that an upload may have left in the store."""
    stored_object = DiscardedObject(upload.team_id, upload.storage_key)
    return (
        [stored_object]
        if upload.multipart_id is None
        else [stored_object, stored_object._replace(multipart_id=upload.multipart_id)]
    )
