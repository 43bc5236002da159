"""Blobs that no version and no open upload references: marked first, deleted after a grace time."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, case, delete, false, select, true, update
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.database.job_run import PAGE
from modelyard.server.database.session import execute_and_count
from modelyard.server.garbage.model_trash import build_deleted_condition, negate
from modelyard.server.garbage.removal import count_objects
from modelyard.server.garbage.run_state import CollectionRun
from modelyard.server.garbage.version_retention import build_trash_condition
from modelyard.server.models.tables import FolderFileRow, ModelRow, ModelVersionRow
from modelyard.server.uploads.discards import DiscardedObject, discard
from modelyard.server.uploads.tables import BlobRow, UploadRow

# Blobs that one statement compares with versions and uploads, at most.
_IDS_PER_RANGE = 20 * PAGE
is_version_of_file = and_(
    ModelVersionRow.model_id == FolderFileRow.model_id, ModelVersionRow.number == FolderFileRow.number
)
BLOB_COLUMNS = (BlobRow.id, BlobRow.team_id, BlobRow.store_key, BlobRow.size, BlobRow.unused_since)


def mark_unused_blobs(session: Session, blob_ids: Iterable[UUID], run: CollectionRun) -> None:
    """Start the grace time of the given blobs that no version and no unregistered upload references.

    A blob that is marked already keeps its time.
    """
    ids = list(set(blob_ids))
    for start in range(0, len(ids), PAGE):
        unmarked = BlobRow.id.in_(ids[start : start + PAGE]) & BlobRow.unused_since.is_(None) & _is_unreferenced()
        execute_and_count(session, update(BlobRow).where(unmarked).values(unused_since=run.moment))


def delete_unused_blobs(run: CollectionRun) -> None:
    """Delete blobs that were unused for the grace time, and discard their objects; mark blobs that are unused now.

    A dry run only counts their objects.
    """
    for page in _list_unused(run):
        run.call_for_teams(page, partial(_delete_of_team, run))


def _delete_of_team(run: CollectionRun, team_id: UUID, blobs: Sequence[Row[Any]]) -> None:
    """Delete one team's blobs that are due, and start the grace time of the others; a dry run only counts those due."""
    if run.options.is_dry:
        count_due_blobs(run, blobs)
        return
    due = _list_due(run, blobs)
    with run.writing(team_id) as session:
        mark_unused_blobs(session, [blob.id for blob in blobs], run)
        _delete_blobs(session, [blob.id for blob in due], run)


def count_due_blobs(run: CollectionRun, blobs: Sequence[Row[Any]]) -> None:
    """Count the objects of those of the blobs that are due; see ``BLOB_COLUMNS`` for their columns."""
    objects = [DiscardedObject(blob.team_id, blob.store_key, size=blob.size) for blob in _list_due(run, blobs)]
    count_objects(run, objects)


def _list_due(run: CollectionRun, blobs: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Return the blobs that were unused for the grace time; one that is not marked is unused from this run on."""
    return [blob for blob in blobs if (blob.unused_since or run.moment) <= run.discarded_before]


def _list_unused(run: CollectionRun) -> Iterator[Sequence[Row[Any]]]:
    """Yield pages of unreferenced blobs: those marked for the grace time, or in a thorough run all, marked or not."""
    unreferenced = _is_unreferenced(run if run.options.is_dry else None)
    if not run.options.is_thorough:
        yield from run.iterate_pages(
            select(*BLOB_COLUMNS).where(BlobRow.unused_since <= run.discarded_before, unreferenced),
            *(BlobRow.unused_since, BlobRow.id),
        )
        return
    for id_range in _split_ids(run):
        yield from run.iterate_pages(select(*BLOB_COLUMNS).where(id_range, unreferenced), BlobRow.id)


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


def build_remaining_condition(run: CollectionRun) -> ColumnElement[bool]:
    """Build the condition that neither the trash of models nor that of versions is emptied of a version by this run.

    For a query of ``ModelVersionRow`` with its ``ModelRow``. It does not ask for the retention of versions.
    """
    return and_(negate(build_deleted_condition(run)), negate(build_trash_condition(run)))


def build_uploading_condition(after_run: CollectionRun | None) -> ColumnElement[bool]:
    """Build the condition that an open upload references a blob; with ``after_run``, one that this run leaves."""
    uploads = select(UploadRow.id).where(UploadRow.blob_id == BlobRow.id, UploadRow.registered_at.is_(None))
    if after_run is not None:
        touched = after_run.moment - timedelta(days=after_run.settings.upload_days)
        # As a case: else SQLite reads the index of all that were touched, for each blob.
        uploads = uploads.where(case((UploadRow.touched_at >= touched, true()), else_=false()))
    return uploads.exists()


def _is_unreferenced(after_run: CollectionRun | None = None) -> ColumnElement[bool]:
    """Build the condition that no version, in the trash or not, no file of one and no open upload references a blob.

    A pending one is in use too: once it is verified, it may replace a doubtful blob.
    With ``after_run``, as it will be after that run has removed what has expired, except by the retention of versions.
    """
    versions = select(ModelVersionRow.model_id).where(ModelVersionRow.blob_id == BlobRow.id)
    files = select(FolderFileRow.model_id).join(ModelVersionRow, is_version_of_file)
    files = files.where(FolderFileRow.blob_id == BlobRow.id)
    if after_run is not None:
        remains = build_remaining_condition(after_run)
        versions = versions.join(ModelRow, ModelRow.id == ModelVersionRow.model_id).where(remains)
        files = files.join(ModelRow, ModelRow.id == ModelVersionRow.model_id).where(remains)
    is_pending = BlobRow.verification == "pending"
    return ~is_pending & ~versions.exists() & ~files.exists() & ~build_uploading_condition(after_run)


def list_blobs_of_versions(session: Session, condition: ColumnElement[bool]) -> list[UUID]:
    """Return the blobs of the versions that meet a condition, and of the files of those that are folders."""
    of_versions = session.scalars(select(ModelVersionRow.blob_id).where(condition))
    of_files = select(FolderFileRow.blob_id).join(ModelVersionRow, is_version_of_file).where(condition).distinct()
    return [*of_versions, *session.scalars(of_files)]


def _delete_blobs(session: Session, blob_ids: Sequence[UUID], run: CollectionRun) -> None:
    """Delete one team's blobs that are still unused, with their uploads, and discard their objects.

    Their sizes are subtracted from the team's stored bytes.
    """
    due = BlobRow.id.in_(blob_ids) & (BlobRow.unused_since <= run.discarded_before) & _is_unreferenced()
    blobs = session.scalars(select(BlobRow).where(due).with_for_update()).all()
    if not blobs:
        return
    is_of_them = UploadRow.blob_id.in_([blob.id for blob in blobs])
    uploads = session.scalars(select(UploadRow).where(is_of_them)).all()
    discarded = [DiscardedObject(blob.team_id, blob.store_key) for blob in blobs]
    discard(
        session,
        discarded + [item for upload in uploads for item in list_objects_of_upload(upload)],
        run.discarded_before,
    )
    session.execute(delete(UploadRow).where(is_of_them))
    session.execute(delete(BlobRow).where(BlobRow.id.in_([blob.id for blob in blobs])))
    revisions.change_stored_bytes(session, blobs[0].team_id, stored_bytes=-sum(blob.size for blob in blobs))


def list_objects_of_upload(upload: UploadRow) -> list[DiscardedObject]:
    """Return the objects that an upload may have left in the store."""
    stored_object = DiscardedObject(upload.team_id, upload.storage_key)
    return (
        [stored_object]
        if upload.multipart_id is None
        else [stored_object, stored_object._replace(multipart_id=upload.multipart_id)]
    )
