"""Choice of the index that a model list is read from.

PostgreSQL chooses by its statistics, except that a tag filter is given its index here. SQLite has no up-to-date
statistics, so the choice is made here.

Every filter has an index that returns its models in the order of ``created_at``: an *access path*. A list in that order
is read by the access path with the fewest models, and reading stops when the page is full. A list in another order is
read by the index of that order if every access path has many models, since a page is full soon there as well. If one
has few, its models are read and sorted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, and_, func, literal, select, true
from sqlalchemy.orm import Session

from modelyard.server.database.search import (
    PLACE_BITS,
    has_part,
    has_words,
    is_sqlite_session,
    join_left_to_right,
    prevent_index_use,
    search_places,
    search_teams,
    search_words,
    select_indexed_words,
)
from modelyard.server.database.session import get_table
from modelyard.server.models.listing.filters import (
    SORT_COLUMNS,
    build_filter_conditions,
    build_team_condition,
    get_column_filters,
)
from modelyard.server.models.listing.hash_matches import HashMatches, find_hash_matches
from modelyard.server.models.replicas.missing import Missing, find_missing
from modelyard.server.models.tables import ModelRow, ModelTagRow
from modelyard.wire.model_filter import ModelFilter

_models, _tags = get_table(ModelRow), get_table(ModelTagRow)
# An access path with fewer models than this is selective: to read and sort all of them costs about as much as to find
# a page of rarer models by reading in the requested order.
SELECTIVE_LIMIT = 2_000

Columns = tuple[ColumnElement[Any], ...]
_CREATION_ORDER: Columns = (_models.c.created_at, _models.c.id)


@dataclass(frozen=True)
class AccessPath:
    """An index, the condition on it, the filters that this condition applies, and the join from it to the models.

    If ``is_in_order``, the index is sorted by the columns ``order``, which is the order of creation.
    """

    applied_filters: frozenset[str]
    index: FromClause
    condition: ColumnElement[bool]
    source: FromClause
    order: Columns
    is_in_order: bool = True

    @property
    def count_query(self) -> Select[Any]:
        """A query with one row for each model of this path, which reads only the index."""
        return select(literal(1)).select_from(self.index).where(self.condition)


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
    session: Session, team_id: UUID, model_filter: ModelFilter, after: tuple[Any, UUID] | None
) -> QueryPlan:
    """Return the cheapest plan to read the team's models that match the filter, in the requested order.

    With a cursor ``after``, the plan has its position in the plan's order; the caller adds the condition for it. The
    trash is always read by the index of the requested order.
    """
    is_sqlite = is_sqlite_session(session)
    missing = None if model_filter.missing_on is None else find_missing(session, team_id, model_filter.missing_on)
    is_missing = None if missing is None else missing.build_condition(session, SELECTIVE_LIMIT)
    hash_matches = find_hash_matches(session, team_id, model_filter)
    conditions = build_filter_conditions(model_filter, hash_matches, is_missing, may_use_indexes=not is_sqlite)
    order: Columns = (SORT_COLUMNS[model_filter.sort.lstrip("-")].expression, _models.c.id)
    all_conditions = [build_team_condition(team_id, model_filter), *conditions.values()]
    by_sort_index = _build_plan(_models, all_conditions, order, after)
    if model_filter.deleted:
        return by_sort_index
    if not is_sqlite:
        return _choose_postgresql_plan(team_id, model_filter, conditions, by_sort_index, after)
    paths = _list_access_paths(session, team_id, model_filter, hash_matches)
    if missing is not None:
        paths.append(_build_missing_path(missing))
    if not paths:
        return by_sort_index
    is_by_creation = _is_by_creation(model_filter)
    return _choose_sqlite_plan(session, paths, conditions, by_sort_index, after, is_by_creation=is_by_creation)


def _is_by_creation(model_filter: ModelFilter) -> bool:
    """Return whether the list is sorted by time of creation, ascending or descending."""
    return model_filter.sort.endswith("created_at")


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
    path = _build_tag_path(team_id, model_filter.tag)
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
    """Return the path with the fewest models, and whether it is selective.

    Models are counted up to ``SELECTIVE_LIMIT``. Of equal paths the last is taken: its condition is the costliest to
    test on a row.
    """
    counts = [count_up_to(session, path.count_query, SELECTIVE_LIMIT) for path in paths]
    fewest = min(counts)
    return paths[len(counts) - 1 - counts[::-1].index(fewest)], fewest < SELECTIVE_LIMIT


def _list_access_paths(
    session: Session, team_id: UUID, model_filter: ModelFilter, hash_matches: HashMatches
) -> list[AccessPath]:
    """Return an access path for each filter that is set and has an index; ``missing_on`` has none here."""
    in_team = build_team_condition(team_id, model_filter)
    paths = [
        AccessPath(frozenset({name}), _models, and_(in_team, column == value), _models, _CREATION_ORDER)
        for name, (column, value) in get_column_filters(model_filter).items()
    ]
    if model_filter.tag is not None:
        paths.append(_build_tag_path(team_id, model_filter.tag))
    if hash_matches.of_filter is not None:
        paths.append(_build_hash_path(team_id, hash_matches.of_filter))
    if model_filter.search_words:
        search_paths = _list_search_paths(session, team_id, model_filter.search_words)
        paths += [_add_hash_matches(path, team_id, hash_matches) for path in search_paths]
    return paths


def _select_ids(team_id: UUID, ids: Collection[UUID]) -> Select[Any]:
    """Build the query for those of the ids that are models of the team outside the trash."""
    in_team = prevent_index_use(_models.c.team_id) == team_id
    return select(_models.c.id.label("model_id")).where(in_team, _models.c.deleted_at.is_(None), _models.c.id.in_(ids))


def _build_ids_path(applied_filters: frozenset[str], ids: FromClause) -> AccessPath:
    """Return the access path that reads models by a subquery of their ids, which are in no order."""
    source = join_left_to_right(ids, _models, _models.c.id == ids.c.model_id)
    return AccessPath(applied_filters, ids, true(), source, _CREATION_ORDER, is_in_order=False)


def _build_hash_path(team_id: UUID, ids: Collection[UUID]) -> AccessPath:
    """Return the access path of the filter ``file_hash``, whose models were found before."""
    return _build_ids_path(frozenset({"file_hash"}), _select_ids(team_id, ids).subquery("hash_ids"))


def _add_hash_matches(path: AccessPath, team_id: UUID, hash_matches: HashMatches) -> AccessPath:
    """Return a path of a search to which the models are added of which a word is a hash; the path itself if none is.

    Each word is still tested: of several, one may be a hash and another part of the text.
    """
    by_hash = [model_id for ids in hash_matches.of_words.values() for model_id in ids]
    if not by_hash:
        return path
    by_text = select(_models.c.id.label("model_id")).select_from(path.source).where(path.condition)
    return _build_ids_path(frozenset(), by_text.union(_select_ids(team_id, by_hash)).subquery("found_ids"))


def _build_tag_path(team_id: UUID, tag: str) -> AccessPath:
    """Return the access path of the tag filter: the index of tag rows, joined with the models."""
    condition = and_(_tags.c.team_id == team_id, _tags.c.tag == tag, _tags.c.is_deleted.is_(False))
    source = join_left_to_right(_tags, _models, _models.c.id == _tags.c.model_id)
    return AccessPath(frozenset({"tag"}), _tags, condition, source, (_tags.c.created_at, _tags.c.model_id))


def _build_missing_path(missing: Missing) -> AccessPath:
    """Return the access path of the filter ``missing_on``; its models are in no order."""
    ids = missing.ids.subquery("missing_ids")
    source = join_left_to_right(ids, _models, _models.c.id == ids.c.id)
    return AccessPath(frozenset({"missing_on"}), ids, true(), source, _CREATION_ORDER, is_in_order=False)


def _list_search_paths(session: Session, team_id: UUID, words: list[str]) -> list[AccessPath]:
    """Return the access path of a search: the word index, or the indexed texts themselves if no word can be looked up.

    An empty list if the team has no part in the search index yet. A path that looks up only some of the words does not
    apply the filter, which is then tested on each model.
    """
    query = select(search_teams.c.number, search_teams.c.is_in_order).where(search_teams.c.team_id == team_id)
    team = session.execute(query).one_or_none()
    if team is None:
        return []
    # Only the team's part of the index is read, so the models of other teams cost nothing.
    first, last = team.number << PLACE_BITS, (team.number + 1 << PLACE_BITS) - 1
    is_model_of_place = _models.c.id == search_places.c.model_id
    indexed_words = select_indexed_words(words)
    if not indexed_words:
        place = search_places.c.place
        condition = and_(place.between(first, last), *(has_part(search_places.c.searched, word) for word in words))
        source = join_left_to_right(search_places, _models, is_model_of_place)
        return [AccessPath(frozenset({"q"}), search_places, condition, source, (place,), team.is_in_order)]
    place = search_words.c.rowid
    condition = and_(has_words(indexed_words), place.between(first, last))
    source = join_left_to_right(
        join_left_to_right(search_words, search_places, search_places.c.place == place), _models, is_model_of_place
    )
    applied = frozenset({"q"} if {*indexed_words} == {*words} else ())
    return [AccessPath(applied, search_words, condition, source, (place,), team.is_in_order)]


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
