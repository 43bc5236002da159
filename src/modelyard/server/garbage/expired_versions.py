"""Expired versions: those past their team's retention, and those whose time in the trash is over."""

from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, tuple_
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.garbage.run_state import CollectionRun, group_by_team
from modelyard.server.garbage.unused_blobs import list_blobs_of_versions, mark_unused_blobs
from modelyard.server.garbage.unused_previews import mark_unused_previews
from modelyard.server.garbage.version_retention import build_expired_condition, iterate_expired
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.previews import update_shown_preview

_key = tuple_(ModelVersionRow.model_id, ModelVersionRow.number)


def purge_versions(run: CollectionRun) -> None:
    """Delete expired versions, with an audit event for each, and mark blobs that nothing uses now.

    A dry run only counts.
    """
    expired = build_expired_condition(run)
    for page in iterate_expired(run):
        if run.options.is_dry:
            run.collected.versions += len(page)
            continue
        for team_id, rows in group_by_team(page).items():
            keys = [(row.model_id, row.number) for row in rows]
            with run.database.writing(team_id) as session:
                run.collected.versions += _purge(session, run, team_id, _key.in_(keys) & expired)


def _purge(session: Session, run: CollectionRun, team_id: UUID, condition: ColumnElement[bool]) -> int:
    """Delete the versions that meet a condition, and return how many."""
    versions = session.scalars(
        select(ModelVersionRow).join(ModelRow, ModelRow.id == ModelVersionRow.model_id).where(condition)
    ).all()
    for version in versions:
        model = session.get_one(ModelRow, version.model_id)
        if version.deleted_at is None:
            model.version_count -= 1
            model.etag_counter += 1
        facts = {"version": version.number, "model_path": model.model_path, "file_hash": version.file_hash}
        audit.record(session, audit.SYSTEM, team_id, "version.purged", model.id, **facts)
    keys = [(version.model_id, version.number) for version in versions]
    session.flush()
    blob_ids = list_blobs_of_versions(session, _key.in_(keys))
    session.execute(delete(ModelVersionRow).where(_key.in_(keys)).execution_options(synchronize_session=False))
    for model_id in {version.model_id for version in versions}:
        update_shown_preview(session, session.get_one(ModelRow, model_id))
    mark_unused_blobs(session, blob_ids, run)
    mark_unused_previews(session, team_id, [version.preview_sha256 for version in versions], run)
    return len(versions)
