"""SQL conditions for the filters of a model list."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import InstrumentedAttribute

from modelyard.server.database.search import prevent_index_use
from modelyard.server.models.listing.hash_matches import HashMatches, build_id_condition
from modelyard.server.models.tables import CONTENT_SIZE, ModelRow, ModelTagRow
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.paths import get_canonical_type

SORT_COLUMNS: dict[str, ColumnElement[Any]] = {
    "created_at": ModelRow.created_at.expression,
    "display_name": ModelRow.display_name.expression,
    "file_size": CONTENT_SIZE,
    "last_used_at": ModelRow.last_used_second.expression,
}


def count_filters(model_filter: ModelFilter) -> int:
    """Return how many filters are set; 0 for all models that are not in the trash."""
    others = (
        model_filter.file_hash is not None,
        model_filter.tag is not None,
        model_filter.missing_on is not None,
        model_filter.deleted,
        bool(model_filter.search_terms),
    )
    return len(get_column_filters(model_filter)) + sum(others)


def get_column_filters(model_filter: ModelFilter) -> dict[str, tuple[InstrumentedAttribute[str], str]]:
    """Return the filters that are set and compare a column with a value: by name, the column and the value.

    Aliases of a type are resolved, as in the column.
    """
    model_type = model_filter.model_type
    filters = {
        "model_type": (ModelRow.canonical_type, model_type and get_canonical_type(model_type)),
        "model_status": (ModelRow.model_status, model_filter.model_status),
        "verification": (ModelRow.verification, model_filter.verification),
    }
    return {name: (column, value) for name, (column, value) in filters.items() if value is not None}


def build_team_condition(team_id: UUID, model_filter: ModelFilter) -> ColumnElement[bool]:
    """Build the condition for the team's models outside its trash, or in it; each index of models begins with it."""
    deleted_at = ModelRow.deleted_at
    return and_(ModelRow.team_id == team_id, deleted_at.is_not(None) if model_filter.deleted else deleted_at.is_(None))


def build_filter_conditions(
    model_filter: ModelFilter,
    hash_matches: HashMatches,
    is_missing: ColumnElement[bool] | None,
    *,
    may_use_indexes: bool,
) -> dict[str, ColumnElement[bool]]:
    """Build a condition on ``ModelRow`` for each filter that is set, by its name, except ``deleted`` and ``q``.

    ``is_missing`` is the condition for ``missing_on``, since that needs queries of its own, as ``hash_matches`` does.
    Without ``may_use_indexes``, SQLite only tests the conditions on rows that it has read by another condition's index.
    """
    conditions: dict[str, ColumnElement[bool]] = {
        name: _build_operand(column, may_use_indexes) == value
        for name, (column, value) in get_column_filters(model_filter).items()
    }
    if hash_matches.of_filter is not None:
        conditions["file_hash"] = build_id_condition(hash_matches.of_filter, may_use_indexes=may_use_indexes)
    if is_missing is not None:
        conditions["missing_on"] = is_missing
    if model_filter.tag is not None:
        of_model = ModelTagRow.model_id == _build_operand(ModelRow.id, may_use_indexes)
        conditions["tag"] = select(ModelTagRow.tag).where(of_model, ModelTagRow.tag == model_filter.tag).exists()
    return conditions


def _build_operand(column: InstrumentedAttribute[Any], may_use_indexes: bool) -> ColumnElement[Any]:
    """Return the column for a comparison, written so that no index is used for it unless ``may_use_indexes``."""
    return column.expression if may_use_indexes else prevent_index_use(column.expression)
