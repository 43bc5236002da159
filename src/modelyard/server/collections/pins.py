"""What pinned collections keep from being purged."""

from sqlalchemy import ColumnElement, and_, exists

from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow
from modelyard.server.models.tables import ModelRow, ModelVersionRow

_is_pinned_entry = and_(
    CollectionRow.id == CollectionEntryRow.collection_id,
    CollectionEntryRow.number.in_(
        [CollectionRow.latest_version, CollectionRow.rolled_out_version, CollectionRow.rollout_version]
    ),
    CollectionRow.is_pinned,
)


def build_pinned_version_condition() -> ColumnElement[bool]:
    """Build the condition that a pinned collection has a version; for a query of ``ModelVersionRow``."""
    is_version = and_(
        CollectionEntryRow.model_id == ModelVersionRow.model_id,
        CollectionEntryRow.model_version == ModelVersionRow.number,
    )
    return exists().where(is_version, _is_pinned_entry).correlate(ModelVersionRow)


def build_pinned_model_condition() -> ColumnElement[bool]:
    """Build the condition that a pinned collection has a version of a model; for a query of ``ModelRow``."""
    return exists().where(CollectionEntryRow.model_id == ModelRow.id, _is_pinned_entry).correlate(ModelRow)
