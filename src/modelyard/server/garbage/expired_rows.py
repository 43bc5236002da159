"""Expired models and uploads: found in pages, and checked again in the transaction that deletes them."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.orm import Session

from modelyard.server.collections.pins import build_pinned_model_condition
from modelyard.server.garbage.run_state import CollectionRun, group_by_team
from modelyard.server.garbage.unused_blobs import (
    build_kept_condition,
    list_blobs_of_versions,
    list_objects_of_upload,
    mark_unused_blobs,
)
from modelyard.server.garbage.unused_previews import mark_unused_previews
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.teams.tables import TeamRow
from modelyard.server.uploads.discards import DiscardedObject, discard
from modelyard.server.uploads.tables import UploadRow

_ABORTED_RETENTION = timedelta(days=1)


def empty_trash(run: CollectionRun) -> None:
    """Delete models whose time in the trash is over, and those of teams that can no longer be restored.

    Models in pinned collections stay in the trash. A dry run only counts.
    """
    before = run.moment - timedelta(days=run.settings.trash_days)
    is_old = and_(ModelRow.deleted_at < before, ~build_pinned_model_condition())
    is_kept = build_kept_condition(before)
    is_of_deleted_team = ModelRow.team_id.in_(select(TeamRow.id).where(TeamRow.deleted_at < before))
    query = select(ModelRow.id, ModelRow.team_id, ModelRow.deleted_at)
    pages = chain(
        run.iterate_pages(query.where(is_old), ModelRow.deleted_at, ModelRow.id),
        run.iterate_pages(query.where(is_of_deleted_team, is_kept), ModelRow.id),
    )
    for page in pages:
        if run.options.is_dry:
            run.collected.models += len(page)
            continue
        for team_id, models in group_by_team(page).items():
            is_in_page = ModelRow.id.in_([model.id for model in models])
            with run.database.writing(team_id) as session:
                run.collected.models += _delete_models(session, run, is_in_page & or_(is_old, is_of_deleted_team))


def _delete_models(session: Session, run: CollectionRun, condition: ColumnElement[bool]) -> int:
    """Delete the models that meet a condition, mark their blobs that nothing references now, and count the models."""
    model_ids = session.scalars(select(ModelRow.id).where(condition)).all()
    is_of_them = ModelVersionRow.model_id.in_(model_ids)
    versions = session.execute(select(ModelVersionRow.team_id, ModelVersionRow.preview_sha256).where(is_of_them)).all()
    blob_ids = list_blobs_of_versions(session, is_of_them)
    session.execute(delete(ModelRow).where(ModelRow.id.in_(model_ids)))
    mark_unused_blobs(session, blob_ids, run)
    for team_id, of_team in group_by_team(versions).items():
        mark_unused_previews(session, team_id, [version.preview_sha256 for version in of_team], run)
    return len(model_ids)


def delete_expired_uploads(run: CollectionRun) -> Iterator[list[DiscardedObject]]:
    """Delete uploads unused for ``upload_days`` or aborted a day ago; yield the objects discarded with them.

    Registered uploads stay, except those without a blob, which older releases left. Works while it is iterated. Yields
    one list for each team of a page. In a dry run nothing is deleted or discarded.
    """
    is_open = UploadRow.registered_at.is_(None)
    is_unused = UploadRow.touched_at < run.moment - timedelta(days=run.settings.upload_days)
    # Not at once: a URL that was presigned before may still be used.
    is_aborted = UploadRow.aborted_at < run.moment - _ABORTED_RETENTION
    is_old = is_open & or_(is_unused, is_aborted)
    # Older releases kept such rows until their objects were removed.
    is_abandoned = UploadRow.registered_at.is_not(None) & UploadRow.blob_id.is_(None)
    yield from _delete_uploads(run, is_abandoned, is_counted=False)
    yield from _delete_uploads(run, is_old, is_counted=True)


def _delete_uploads(
    run: CollectionRun, condition: ColumnElement[bool], *, is_counted: bool
) -> Iterator[list[DiscardedObject]]:
    """Delete the uploads that meet a condition; yield the objects discarded with them, by page and team.

    In a dry run nothing is deleted. Only with ``is_counted`` the uploads are counted in the result.
    """
    for page in run.iterate_pages(select(UploadRow.id, UploadRow.team_id).where(condition), UploadRow.id):
        for team_id, rows in group_by_team(page).items():
            is_in_page = UploadRow.id.in_([upload.id for upload in rows])
            with run.database.reading() if run.options.is_dry else run.database.writing(team_id) as session:
                uploads = session.scalars(select(UploadRow).where(is_in_page, condition)).all()
                run.collected.uploads += len(uploads) if is_counted else 0
                discarded = [item for upload in uploads for item in list_objects_of_upload(upload)]
                if not run.options.is_dry:
                    discard(session, discarded, run.moment)
                    session.execute(delete(UploadRow).where(UploadRow.id.in_([upload.id for upload in uploads])))
                    mark_unused_blobs(session, [upload.blob_id for upload in uploads if upload.blob_id], run)
            yield discarded
