"""What pinned collections keep from being purged, and from being deleted without force."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow, SubscriptionRow
from modelyard.server.database.search import join_left_to_right
from modelyard.server.database.session import get_table
from modelyard.server.models import operations as models
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems

# So many collections are named in a refusal.
_MAX_NAMED = 10
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


def delete_model(session: Session, team: TeamContext, model_id: UUID, if_match: str | None, *, force: bool) -> None:
    """Move a model to the trash; see ``models.operations.delete_model``, whose checks come first.

    The audit event names the collections from whose machines ``force`` takes the model.

    Raises:
        ModelPinned: without ``force``, if machines hold it by a pinned collection.
    """
    names = _list_pinning_collections(session, team.team_id, model_id)
    models.delete_model(session, team, model_id, if_match, pinned_in=names)
    if names and not force:
        listed = ", ".join(f"'{name}'" for name in names)
        raise problems.ModelPinned(
            f"Machines that are subscribed to {listed} hold the model, since its versions are pinned there. They would"
            " lose it. Make a version of the collection without it first, or delete it with force.",
            collections=names,
        )


def _list_pinning_collections(session: Session, team_id: UUID, model_id: UUID) -> list[str]:
    """Return the names of pinned collections that have a model in a version of subscribed machines, the first ones."""
    is_subscribed = exists().where(SubscriptionRow.collection_id == _collections.c.id)
    is_on_machines = _entries.c.number.in_([_collections.c.rolled_out_version, _collections.c.rollout_version])
    query = _pinned_entries.with_only_columns(_collections.c.name, _collections.c.name_key).distinct()
    query = query.where(_collections.c.team_id == team_id, _entries.c.model_id == model_id)
    query = query.where(is_subscribed, is_on_machines)
    return [row.name for row in session.execute(query.order_by(_collections.c.name_key).limit(_MAX_NAMED))]
