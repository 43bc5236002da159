"""Expired versions: those past their team's retention, and those whose time in the trash is over."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, delete, select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.garbage.run_state import DELETED_AT_ONCE, CollectionRun, split_by_weight
from modelyard.server.garbage.unused_blobs import list_blobs_of_versions, mark_unused_blobs
from modelyard.server.garbage.unused_previews import mark_unused_previews
from modelyard.server.garbage.version_retention import (
    TeamRetention,
    build_trash_condition,
    iterate_expired,
    iterate_trash,
    list_retentions,
    load_retention,
    select_expired,
    version_key,
)
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.previews import update_shown_preview

# Finds a team's expired versions among those that meet a condition.
Find = Callable[[Session, CollectionRun, UUID, ColumnElement[bool]], Sequence[ModelVersionRow]]


def purge_trash(run: CollectionRun) -> None:
    """Delete versions whose time in the trash is over, with an audit event for each; a dry run only counts."""
    for page in iterate_trash(run):
        run.call_for_teams(page, partial(_purge, run, _find_in_trash))


def purge_by_retention(run: CollectionRun) -> list[TeamRetention]:
    """Delete versions that are past their team's retention, with an audit event for each; a dry run only counts.

    Returns the teams that had some. The teams take turns of one batch, in another order in each run: neither a team
    with many versions nor runs that end early keep the versions of others.
    """
    teams = list_retentions(run)
    random.shuffle(teams)
    waiting = deque((team, iterate_expired(run, team)) for team in teams)
    purged = dict[UUID, TeamRetention]()
    while waiting:
        run.check_may_continue()
        team, batches = waiting.popleft()
        versions = run.call_for_team(team.team_id, partial(next, batches, None))
        if versions is None:
            continue
        if versions:
            purged[team.team_id] = team
            run.call_for_team(team.team_id, partial(_purge, run, _find_past_retention, team.team_id, versions))
        waiting.append((team, batches))
    return list(purged.values())


def _find_in_trash(
    session: Session, run: CollectionRun, _team_id: UUID, condition: ColumnElement[bool]
) -> Sequence[ModelVersionRow]:
    """Return the versions that meet a condition and whose time in the trash is over."""
    return session.scalars(_select_in_order().where(condition, build_trash_condition(run))).all()


def _find_past_retention(
    session: Session, run: CollectionRun, team_id: UUID, condition: ColumnElement[bool]
) -> Sequence[ModelVersionRow]:
    """Return the versions of a team that meet a condition and are past the retention that the team has now."""
    versions = session.scalars(_select_in_order().where(condition)).all()
    return select_expired(session, run, load_retention(session, team_id), versions)


def _select_in_order() -> Select[ModelVersionRow]:
    """Build the query for versions, those of a model by their number: the order of their audit events."""
    return select(ModelVersionRow).order_by(ModelVersionRow.model_id, ModelVersionRow.number)


def _purge(run: CollectionRun, find: Find, team_id: UUID, versions: Sequence[Row[Any]]) -> None:
    """Delete a team's versions that are found again under the team's lock, in parts.

    A dry run only counts all of them.
    """
    if run.options.is_dry:
        run.collected.versions += len(versions)
        return
    for part in split_by_weight(versions, lambda version: 1 + (version.file_count or 0), DELETED_AT_ONCE):
        run.check_may_continue()
        is_in_part = version_key.in_([(version.model_id, version.number) for version in part])
        with run.writing(team_id) as session:
            expired = find(session, run, team_id, is_in_part)
            _delete_versions(session, run, team_id, expired)
        run.collected.versions += len(expired)


def _delete_versions(session: Session, run: CollectionRun, team_id: UUID, versions: Sequence[ModelVersionRow]) -> None:
    """Delete versions of a team, with an audit event for each.

    Updates the pictures that their models show, and starts the grace time of blobs and pictures that only they used.
    """
    model_ids = {version.model_id for version in versions}
    models = {model.id: model for model in session.scalars(select(ModelRow).where(ModelRow.id.in_(model_ids)))}
    for version in versions:
        _record_purge(session, models[version.model_id], version)
    session.flush()
    is_purged = version_key.in_([(version.model_id, version.number) for version in versions])
    blob_ids = list_blobs_of_versions(session, is_purged)
    session.execute(delete(ModelVersionRow).where(is_purged).execution_options(synchronize_session=False))
    # Only a version with a picture can be the one whose picture its model shows.
    for model_id in {version.model_id for version in versions if version.preview_sha256 is not None}:
        update_shown_preview(session, models[model_id])
    mark_unused_blobs(session, blob_ids, run)
    mark_unused_previews(session, team_id, [version.preview_sha256 for version in versions], run)


def _record_purge(session: Session, model: ModelRow, version: ModelVersionRow) -> None:
    """Record the audit event of a purged version; unless it was in the trash, lower its model's count of versions."""
    if version.deleted_at is None:
        model.version_count -= 1
        model.etag_counter += 1
    facts = {"version": version.number, "model_path": model.model_path, "file_hash": version.file_hash}
    audit.record(session, audit.SYSTEM, model.team_id, "version.purged", model.id, **facts)
