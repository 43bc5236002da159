"""Expired models and uploads: found in pages, and checked again in the transaction that deletes them."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, delete, or_, select
from sqlalchemy.orm import Session

from modelyard.server.database.job_run import group_by_team
from modelyard.server.garbage.model_trash import (
    build_deleted_condition,
    build_old_condition,
    get_trashed_before,
    negate,
)
from modelyard.server.garbage.removal import count_objects
from modelyard.server.garbage.run_state import DELETED_AT_ONCE, CollectionRun, split_by_weight
from modelyard.server.garbage.unused_blobs import (
    list_blobs_of_versions,
    list_objects_of_upload,
    mark_unused_blobs,
)
from modelyard.server.garbage.unused_previews import mark_unused_previews
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.teams.tables import TeamRow
from modelyard.server.uploads.discards import discard
from modelyard.server.uploads.tables import UploadRow

_ABORTED_RETENTION = timedelta(days=1)
_query = select(
    *(ModelRow.id, ModelRow.team_id, ModelRow.deleted_at, ModelRow.version_count),
    *(ModelRow.file_count, ModelRow.file_hash, ModelRow.created_at),
)


def empty_trash(run: CollectionRun) -> None:
    """Delete models whose time in the trash is over, and those of teams that can no longer be restored.

    Models in pinned collections stay in the trash. A dry run only counts.
    """
    pages = chain(
        run.iterate_pages(_query.where(build_old_condition(run)), ModelRow.deleted_at, ModelRow.id),
        _iterate_deleted_teams(run),
    )
    for page in pages:
        run.call_for_teams(page, partial(_delete_models_of_team, run, build_deleted_condition(run)))


def _iterate_deleted_teams(run: CollectionRun) -> Iterator[Sequence[Row[Any]]]:
    """Yield pages of the other models of each team that cannot be restored, in the order of an index."""
    has_models = select(ModelRow.id).where(ModelRow.team_id == TeamRow.id).exists()
    teams = select(TeamRow.id, TeamRow.deleted_at).where(TeamRow.deleted_at < get_trashed_before(run), has_models)
    for page in run.iterate_pages(teams, TeamRow.deleted_at, TeamRow.id):
        for team in page:
            models = _query.where(ModelRow.team_id == team.id, negate(build_old_condition(run)))
            yield from run.iterate_pages(models, ModelRow.file_hash, ModelRow.created_at, ModelRow.id)


def _delete_models_of_team(
    run: CollectionRun, condition: ColumnElement[bool], team_id: UUID, models: Sequence[Row[Any]]
) -> None:
    """Delete one team's models that still meet a condition under the team's lock; a dry run only counts all of them.

    Raises what ``check_may_continue`` raises.
    """
    if run.options.is_dry:
        run.collected.models += len(models)
        return
    for part in split_by_weight(models, _count_deleted_rows, DELETED_AT_ONCE):
        run.check_may_continue()
        with run.writing(team_id) as session:
            count = _delete_models(session, run, ModelRow.id.in_([model.id for model in part]) & condition)
        run.collected.models += count


def _count_deleted_rows(model: Row[Any]) -> int:
    """Return about how many versions, and files of folders, are deleted with a model."""
    return int(model.version_count) * (1 + (model.file_count or 0))


def _delete_models(session: Session, run: CollectionRun, condition: ColumnElement[bool]) -> int:
    """Delete the models that meet a condition, and return how many they were.

    Starts the grace time of the blobs and pictures that nothing references any more.
    """
    model_ids = session.scalars(select(ModelRow.id).where(condition)).all()
    is_of_them = ModelVersionRow.model_id.in_(model_ids)
    versions = session.execute(select(ModelVersionRow.team_id, ModelVersionRow.preview_sha256).where(is_of_them)).all()
    blob_ids = list_blobs_of_versions(session, is_of_them)
    session.execute(delete(ModelRow).where(ModelRow.id.in_(model_ids)))
    mark_unused_blobs(session, blob_ids, run)
    for team_id, of_team in group_by_team(versions).items():
        mark_unused_previews(session, team_id, [version.preview_sha256 for version in of_team], run)
    return len(model_ids)


def delete_expired_uploads(run: CollectionRun) -> None:
    """Delete uploads unused for ``upload_days`` or aborted a day ago, and discard their objects.

    Registered uploads stay, except those without a blob, which older releases left. A dry run only counts.
    """
    is_open = UploadRow.registered_at.is_(None)
    is_unused = UploadRow.touched_at < run.moment - timedelta(days=run.settings.upload_days)
    # Not at once: a URL that was presigned before may still be used.
    is_aborted = UploadRow.aborted_at < run.moment - _ABORTED_RETENTION
    is_old = is_open & or_(is_unused, is_aborted)
    # Older releases kept such rows until their objects were removed.
    is_abandoned = UploadRow.registered_at.is_not(None) & UploadRow.blob_id.is_(None)
    for condition in (is_abandoned, is_old):
        query = select(UploadRow.id, UploadRow.team_id, UploadRow.touched_at).where(condition)
        for page in run.iterate_pages(query, UploadRow.touched_at, UploadRow.id):
            run.call_for_teams(page, partial(_delete_uploads, run, condition))


def _delete_uploads(
    run: CollectionRun, condition: ColumnElement[bool], team_id: UUID, rows: Sequence[Row[Any]]
) -> None:
    """Delete one team's uploads that still meet a condition, discard their objects, and count the unregistered ones.

    Starts the grace time of blobs that nothing references any more. A dry run counts the uploads, and their objects if
    these would be removed at once.
    """
    is_expired = UploadRow.id.in_([upload.id for upload in rows]) & condition
    with run.database.reading() if run.options.is_dry else run.writing(team_id) as session:
        uploads = session.scalars(select(UploadRow).where(is_expired)).all()
        discarded = [item for upload in uploads for item in list_objects_of_upload(upload)]
        if not run.options.is_dry:
            discard(session, discarded, run.moment)
            session.execute(delete(UploadRow).where(UploadRow.id.in_([upload.id for upload in uploads])))
            mark_unused_blobs(session, [upload.blob_id for upload in uploads if upload.blob_id], run)
    run.collected.uploads += sum(upload.registered_at is None for upload in uploads)
    if run.options.is_dry and run.moment <= run.discarded_before:
        count_objects(run, discarded)
