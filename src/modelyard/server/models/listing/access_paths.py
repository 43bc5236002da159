"""Access paths of model lists: for each filter and term of a search an index that returns its models.

On SQLite a list is read by one of them; ``index_choice`` chooses.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, and_, literal, select, true
from sqlalchemy.orm import Session

from modelyard.server.database.search import (
    PLACE_BITS,
    has_words,
    join_left_to_right,
    prevent_index_use,
    search_places,
    search_teams,
    search_words,
    select_lookups,
)
from modelyard.server.database.session import get_table
from modelyard.server.models.listing.filters import build_team_condition, get_column_filters
from modelyard.server.models.listing.hash_matches import HashMatches
from modelyard.server.models.listing.search_terms import CompiledTerm
from modelyard.server.models.replicas.missing import Missing
from modelyard.server.models.search_text import build_type_part
from modelyard.server.models.tables import ModelRow, ModelTagRow
from modelyard.wire.model_filter import ModelFilter

_models, _tags = get_table(ModelRow), get_table(ModelTagRow)

# The name of the type filter among the texts that are looked up; no filter and no term has it.
_TYPE = "type of the filter"

Columns = tuple[ColumnElement[Any], ...]
CREATION_ORDER: Columns = (_models.c.created_at, _models.c.id)


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


def list_access_paths(
    session: Session,
    team_id: UUID,
    model_filter: ModelFilter,
    hash_matches: HashMatches,
    terms: Mapping[str, CompiledTerm],
) -> list[AccessPath]:
    """Return an access path for each filter that is set and has an index, except ``missing_on``, and those of terms."""
    in_team = build_team_condition(team_id, model_filter)
    paths = [
        AccessPath(frozenset({name}), _models, and_(in_team, column == value), _models, CREATION_ORDER)
        for name, (column, value) in get_column_filters(model_filter).items()
    ]
    if model_filter.tag is not None:
        paths.append(build_tag_path(team_id, model_filter.tag))
    if hash_matches.of_filter is not None:
        paths.append(_build_hash_path("file_hash", team_id, hash_matches.of_filter))
    for name, term in terms.items():
        paths += _list_term_paths(name, team_id, in_team, term)
    return paths + _list_text_paths(session, team_id, model_filter, terms)


def _list_term_paths(name: str, team_id: UUID, in_team: ColumnElement[bool], term: CompiledTerm) -> list[AccessPath]:
    """Return the access path of one term of a search, but for its text."""
    if term.missing is not None:
        return [build_missing_path(name, term.missing)]
    if term.ids is not None and not term.parts:
        return [_build_hash_path(name, team_id, term.ids)]
    if term.reported is not None:
        return [_build_ids_path(frozenset(), term.reported.subquery("reported_ids"))]
    if term.bounds is not None:
        condition = and_(in_team, term.bounds)
        return [
            AccessPath(frozenset({name}), _models, condition, _models, CREATION_ORDER, is_in_order=term.is_in_order)
        ]
    return []


def _select_ids(team_id: UUID, ids: Collection[UUID]) -> Select[Any]:
    """Build the query for those of the ids that are models of the team outside the trash."""
    in_team = prevent_index_use(_models.c.team_id) == team_id
    return select(_models.c.id.label("model_id")).where(in_team, _models.c.deleted_at.is_(None), _models.c.id.in_(ids))


def _build_ids_path(applied_filters: frozenset[str], ids: FromClause) -> AccessPath:
    """Return the access path that reads models by a subquery of their ids, which are in no order."""
    source = join_left_to_right(ids, _models, _models.c.id == ids.c.model_id)
    return AccessPath(applied_filters, ids, true(), source, CREATION_ORDER, is_in_order=False)


def _build_hash_path(name: str, team_id: UUID, ids: Collection[UUID]) -> AccessPath:
    """Return the access path of a filter by hashes, whose models were found before."""
    return _build_ids_path(frozenset({name}), _select_ids(team_id, ids).subquery("hash_ids"))


def build_tag_path(team_id: UUID, tag: str) -> AccessPath:
    """Return the access path of the tag filter: the index of tag rows, joined with the models."""
    condition = and_(_tags.c.team_id == team_id, _tags.c.tag == tag, _tags.c.is_deleted.is_(False))
    source = join_left_to_right(_tags, _models, _models.c.id == _tags.c.model_id)
    return AccessPath(frozenset({"tag"}), _tags, condition, source, (_tags.c.created_at, _tags.c.model_id))


def build_missing_path(name: str, missing: Missing) -> AccessPath:
    """Return the access path of a filter by missing replicas; its models are in no order."""
    ids = missing.ids.subquery("missing_ids")
    source = join_left_to_right(ids, _models, _models.c.id == ids.c.id)
    return AccessPath(frozenset({name}), ids, true(), source, CREATION_ORDER, is_in_order=False)


def _list_text_paths(
    session: Session, team_id: UUID, model_filter: ModelFilter, terms: Mapping[str, CompiledTerm]
) -> list[AccessPath]:
    """Return the access path that looks up texts of several terms in the word index, with the type of the filter.

    An empty list if no term has texts that it finds, or if the team has no part in the search index yet. Terms that are
    not looked up in full are not applied: they are tested on each model. So is the type, whose case matters.
    """
    parts = {name: term.parts for name, term in terms.items() if term.parts}
    if parts and model_filter.model_type is not None:
        parts[_TYPE] = (build_type_part(model_filter.model_type),)
    lookups, applied = select_lookups(parts)
    applied -= {_TYPE}
    query = select(search_teams.c.number, search_teams.c.is_in_order).where(search_teams.c.team_id == team_id)
    team = session.execute(query).one_or_none() if lookups else None
    if team is None:
        return []
    # Only the team's part of the index is read, so the models of other teams cost nothing.
    first, last = team.number << PLACE_BITS, (team.number + 1 << PLACE_BITS) - 1
    times = [term.bounds for term in terms.values() if term.is_by_creation and term.bounds is not None]
    if times and team.is_in_order:
        first, last = _find_places(session, and_(build_team_condition(team_id, model_filter), *times))
    place = search_words.c.rowid
    condition = and_(has_words(lookups), place.between(first, last))
    source = join_left_to_right(
        join_left_to_right(search_words, search_places, search_places.c.place == place),
        _models,
        _models.c.id == search_places.c.model_id,
    )
    path = AccessPath(applied, search_words, condition, source, (place,), team.is_in_order)
    by_hash = [model_id for term in terms.values() if term.parts for model_id in term.ids or ()]
    return [_add_models(path, team_id, by_hash) if by_hash else path]


def _find_places(session: Session, condition: ColumnElement[bool]) -> tuple[int, int]:
    """Return the first and the last place of the models that meet a condition on the time of creation.

    They are in that order; an empty range if there are none.
    """
    oldest = select(_models.c.id).where(condition).order_by(*CREATION_ORDER)
    newest = select(_models.c.id).where(condition).order_by(*(column.desc() for column in CREATION_ORDER))
    ids = [query.limit(1).scalar_subquery() for query in (oldest, newest)]
    places = [session.scalar(select(search_places.c.place).where(search_places.c.model_id == each)) for each in ids]
    return places[0] or 1, places[1] or 0


def _add_models(path: AccessPath, team_id: UUID, ids: Collection[UUID]) -> AccessPath:
    """Return a path of a search to which models are added of which a word is a hash.

    Each word is still tested: of several, one may be a hash and another part of the text.
    """
    by_text = select(_models.c.id.label("model_id")).select_from(path.source).where(path.condition)
    return _build_ids_path(frozenset(), by_text.union(_select_ids(team_id, ids)).subquery("found_ids"))
