"""Choice of the index that a model list is read from.

PostgreSQL chooses by its statistics, except that a tag filter is given its index here, and that conditions which rarely
meet are looked up before (``few_matches``). SQLite has no up-to-date statistics, so the choice is made here.

Every filter has an index that returns its models in the order of ``created_at``: an *access path*. A list in that order
is read by the access path with the fewest models, and reading stops when the page is full. A list in another order is
read by the index of that order if every access path has many models, since a page is full soon there as well. If one
has few, its models are read and sorted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, func, literal, select
from sqlalchemy.orm import Session

from modelyard.server.database.search import (
    SELECTIVE_LIMIT,
    has_part_by_index,
    is_sqlite_session,
    prevent_index_use,
    search_places,
)
from modelyard.server.database.session import get_table
from modelyard.server.models.listing.access_paths import (
    AccessPath,
    Columns,
    build_missing_path,
    build_tag_path,
    list_access_paths,
)
from modelyard.server.models.listing.few_matches import find_few_matches
from modelyard.server.models.listing.filters import SORT_COLUMNS, build_filter_conditions, build_team_condition
from modelyard.server.models.listing.hash_matches import find_hash_matches
from modelyard.server.models.listing.search_terms import SearchScope, compile_terms
from modelyard.server.models.replicas.missing import find_missing
from modelyard.server.models.search_text import build_type_part
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire.model_filter import ModelFilter

_models = get_table(ModelRow)


@dataclass(frozen=True)
class QueryPlan:
    """How to query a list: tables, conditions, order, the values of the order's columns at the cursor, and a count.

    ``after`` is empty without a cursor.
    """

    source: FromClause
    conditions: Sequence[ColumnElement[bool]]
    order: Columns
    after: tuple[Any, ...]
    count_query: Select[Any]


def choose_query_plan(
    session: Session, team: TeamContext, model_filter: ModelFilter, after: tuple[Any, UUID] | None
) -> QueryPlan:
    """Return the cheapest plan to read the team's models that match the filter, in the requested order.

    With a cursor ``after``, the plan has its position in the plan's order; the caller adds the condition for it. The
    trash is always read by the index of the requested order.
    """
    is_sqlite, team_id = is_sqlite_session(session), team.team_id
    missing = None if model_filter.missing_on is None else find_missing(session, team_id, model_filter.missing_on)
    is_missing = None if missing is None else missing.build_condition(session)
    hash_matches = find_hash_matches(session, team_id, model_filter)
    conditions = build_filter_conditions(model_filter, hash_matches, is_missing, may_use_indexes=not is_sqlite)
    scope = SearchScope(session, team_id, team.creator.id, hash_matches)
    terms = compile_terms(scope, model_filter.search_terms)
    conditions |= {name: term.condition for name, term in terms.items()}
    order: Columns = (SORT_COLUMNS[model_filter.order.lstrip("-")], _models.c.id)
    in_team = build_team_condition(team_id, model_filter)
    by_sort_index = _build_plan(_models, [in_team, *conditions.values()], order, after)
    if model_filter.deleted:
        return by_sort_index
    if not is_sqlite:
        parts = [term.parts for term in terms.values()]
        few = find_few_matches(
            session, team_id, in_team, [*conditions.values(), *_list_type_parts(model_filter)], parts
        )
        if few is not None:
            return _build_plan(_models, [in_team, _models.c.id.in_(few)], order, after)
        return _choose_postgresql_plan(team_id, model_filter, conditions, by_sort_index, after)
    paths = list_access_paths(session, team_id, model_filter, hash_matches, terms)
    if missing is not None:
        paths.append(build_missing_path("missing_on", missing))
    if not paths:
        return by_sort_index
    is_by_creation = _is_by_creation(model_filter)
    return _choose_sqlite_plan(session, paths, conditions, by_sort_index, after, is_by_creation=is_by_creation)


def _is_by_creation(model_filter: ModelFilter) -> bool:
    """Return whether the list is sorted by time of creation, ascending or descending."""
    return model_filter.order.endswith("created_at")


def _list_type_parts(model_filter: ModelFilter) -> list[ColumnElement[bool]]:
    """Return the condition on the searched text that models of the filter's type meet: with it one index has all."""
    model_type = model_filter.model_type
    return [] if model_type is None else [has_part_by_index(_models.c.searched, build_type_part(model_type))]


def _choose_postgresql_plan(
    team_id: UUID,
    model_filter: ModelFilter,
    conditions: Mapping[str, ColumnElement[bool]],
    by_sort_index: QueryPlan,
    after: tuple[Any, ...] | None,
) -> QueryPlan:
    """Return the plan by the index of the order; with a tag filter, the tag index is used to read or only to count."""
    if model_filter.tag is None:
        return by_sort_index
    path = build_tag_path(team_id, model_filter.tag)
    by_tag = _build_path_plan(path, conditions, path.order, after)
    return by_tag if _is_by_creation(model_filter) else replace(by_sort_index, count_query=by_tag.count_query)


def _choose_sqlite_plan(
    session: Session,
    paths: Sequence[AccessPath],
    conditions: Mapping[str, ColumnElement[bool]],
    by_sort_index: QueryPlan,
    after: tuple[Any, UUID] | None,
    *,
    is_by_creation: bool,
) -> QueryPlan:
    """Return the plan by the most selective access path, or by the index of the order if none is selective.

    A list by creation is read by a path that is in that order even if it is not selective. The count always reads the
    path.
    """
    path, is_selective = paths[0], False
    if len(paths) > 1 or not is_by_creation or not path.is_in_order:
        path, is_selective = _find_most_selective(session, paths)
    position = _find_position(session, path, after) if is_by_creation and path.is_in_order else None
    if position is not None:
        return _build_path_plan(path, conditions, path.order, position)
    sorted_order = tuple(prevent_index_use(column) for column in by_sort_index.order)
    by_path = _build_path_plan(path, conditions, sorted_order, after)
    return by_path if is_selective else replace(by_sort_index, count_query=by_path.count_query)


def _build_plan(
    source: FromClause, conditions: Sequence[ColumnElement[bool]], order: Columns, after: tuple[Any, ...] | None
) -> QueryPlan:
    """Return the plan whose count reads the same tables with the same conditions."""
    return QueryPlan(source, conditions, order, after or (), select(literal(1)).select_from(source).where(*conditions))


def _build_path_plan(
    path: AccessPath, conditions: Mapping[str, ColumnElement[bool]], order: Columns, after: tuple[Any, ...] | None
) -> QueryPlan:
    """Return the plan that reads by an access path and tests the other filters.

    Without other filters, the total of the list is counted in the index alone, without a join to the models.
    """
    others = [condition for name, condition in conditions.items() if name not in path.applied_filters]
    plan = _build_plan(path.source, [path.condition, *others], order, after)
    return plan if others else replace(plan, count_query=path.count_query)


def _find_most_selective(session: Session, paths: Sequence[AccessPath]) -> tuple[AccessPath, bool]:
    """Return the path with the fewest models, and whether it is selective: has fewer than ``SELECTIVE_LIMIT``.

    Models are counted up to that limit. Of equal paths the last is taken: its condition is the costliest to
    test on a row.
    """
    counts = [count_up_to(session, path.count_query, SELECTIVE_LIMIT) for path in paths]
    fewest = min(counts)
    return paths[len(counts) - 1 - counts[::-1].index(fewest)], fewest < SELECTIVE_LIMIT


def _find_position(session: Session, path: AccessPath, after: tuple[Any, UUID] | None) -> tuple[Any, ...] | None:
    """Return the values of the path's order columns at the cursor, () without a cursor.

    None if the search index no longer has the cursor's model.
    """
    if after is None or len(path.order) > 1:
        return after or ()
    place = session.scalar(select(search_places.c.place).where(search_places.c.model_id == after[1]))
    return None if place is None else (place,)


def count_up_to(session: Session, query: Select[Any], limit: int) -> int:
    """Return the number of rows of a query, at most ``limit``; the database stops counting there."""
    return session.scalar(select(func.count()).select_from(query.limit(limit).subquery())) or 0
