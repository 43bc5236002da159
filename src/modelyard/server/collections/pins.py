"""What pinned collections keep from being purged."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow
from modelyard.server.database.search import join_left_to_right
from modelyard.server.database.session import get_table
from modelyard.server.models.tables import ModelRow, ModelVersionRow

_collections, _entries = get_table(CollectionRow), get_table(CollectionEntryRow)
# Read from the pinned collections: a model is in as many entries as each of its collections has versions.
_pinned_entries = (
    select(_entries.c.model_id, _entries.c.model_version)
    .select_from(join_left_to_right(_collections, _entries, _entries.c.collection_id == _collections.c.id))
    .where(
        _collections.c.is_pinned,
        _entries.c.number.in_(
            [_collections.c.latest_version, _collections.c.rolled_out_version, _collections.c.rollout_version]
        ),
    )
)


def build_pinned_version_condition() -> ColumnElement[bool]:
    """Build the condition that a pinned collection has a version; for a query of ``ModelVersionRow``."""
    is_pinned = _pinned_entries.where(
        _collections.c.team_id == ModelVersionRow.team_id,
        _entries.c.model_id == ModelVersionRow.model_id,
        _entries.c.model_version == ModelVersionRow.number,
    )
    return is_pinned.correlate(ModelVersionRow).exists()


def build_pinned_model_condition() -> ColumnElement[bool]:
    """Build the condition that a pinned collection has a version of a model; for a query of ``ModelRow``."""
    is_pinned = _pinned_entries.where(_collections.c.team_id == ModelRow.team_id, _entries.c.model_id == ModelRow.id)
    return is_pinned.correlate(ModelRow).exists()


def list_pinned_versions(session: Session, team_id: UUID, model_ids: Collection[UUID]) -> set[tuple[UUID, int]]:
    """Return the versions of a team's models that pinned collections have, by model and number.

    The models are at most as many as one statement can name.
    """
    query = _pinned_entries.where(_collections.c.team_id == team_id, _entries.c.model_id.in_(model_ids))
    # Many collections may pin the same version.
    query = query.distinct()
    return {(row.model_id, row.model_version) for row in session.execute(query)}
