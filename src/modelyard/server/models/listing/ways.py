"""Which index a list is read from: PostgreSQL chooses by its statistics; SQLite has none that are fresh, so we do.

Every filter has an index that gives its models in the order of ``created_at``: a *way*. A list in that order is read
off the narrowest way, and stops when its page is full. Another order is read off its own index where every way is wide,
since there a page is soon full as well; what comes by a narrow way is sorted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Select, and_, func, literal, select, true
from sqlalchemy.orm import Session

from modelyard.server.database.search import (
    PLACE_BITS,
    has_part,
    has_words,
    indexed_words,
    nested,
    on_sqlite,
    search_places,
    search_teams,
    search_words,
    unindexed,
)
from modelyard.server.database.session import table_of
from modelyard.server.models.holders.missing import Missing, missing_on
from modelyard.server.models.listing.filters import SORTED_BY, ModelFilter, in_team, tests_of
from modelyard.server.models.tables import ModelRow, ModelTagRow

_models, _tags = table_of(ModelRow), table_of(ModelTagRow)
# A way with fewer models than this is narrow: to fetch and sort them all costs about what it costs to find a page of
# rarer ones by walking an order.
NARROW = 2_000

Columns = tuple[ColumnElement[Any], ...]
_NEWEST: Columns = (_models.c.created_at, _models.c.id)


@dataclass(frozen=True)
class Way:
    """An index, the filters that it answers, the condition on it, and the join that leads from it to the models."""

    answers: frozenset[str]
    index: FromClause
    found: ColumnElement[bool]
    path: FromClause
    order: Columns
    is_in_order: bool = True

    @property
    def counted(self) -> Select[Any]:
        """A row for each of its models, read in the index alone."""
        return select(literal(1)).select_from(self.index).where(self.found)


@dataclass(frozen=True)
class Reading:
    """How to read a list: from where, in which order, after which position (if a cursor gave one), and how to count."""

    path: FromClause
    conditions: Sequence[ColumnElement[bool]]
    order: Columns
    after: tuple[Any, ...]
    counted: Select[Any]


def reading_of(session: Session, team_id: UUID, wanted: ModelFilter, after: tuple[Any, UUID] | None) -> Reading:
    """The cheapest reading of what is wanted."""
    by_creation = wanted.sort.endswith("created_at")
    column = SORTED_BY[wanted.sort.lstrip("-")]
    order: Columns = (column.expression, _models.c.id)
    missing = None if wanted.missing_on is None else missing_on(session, team_id, wanted.missing_on)
    is_missing = None if missing is None else missing.tested(session, NARROW)
    tests = tests_of(wanted, is_missing, sees_indexes=not on_sqlite(session))
    walk = _reading(_models, [in_team(team_id, wanted), *tests.values()], order, after)
    if wanted.deleted:
        return walk
    if not on_sqlite(session):
        if wanted.tag is None:
            return walk
        tagged = _tag_way(team_id, wanted.tag)
        read = _by_way(tagged, tests, tagged.order, after)
        return read if by_creation else replace(walk, counted=read.counted)

    ways = _ways_of(session, team_id, wanted)
    if missing is not None:
        ways.append(_missing_way(missing))
    if not ways:
        return walk
    way, is_narrow = ways[0], False
    if len(ways) > 1 or not by_creation or not way.is_in_order:
        way, is_narrow = _narrowest(session, ways)
    place = _place(session, way, after) if by_creation and way.is_in_order else None
    if place is not None:
        return _by_way(way, tests, way.order, place)
    read = _by_way(way, tests, tuple(unindexed(column) for column in order), after)
    return read if is_narrow else replace(walk, counted=read.counted)


def _reading(
    path: FromClause, conditions: Sequence[ColumnElement[bool]], order: Columns, after: tuple[Any, ...] | None
) -> Reading:
    return Reading(path, conditions, order, after or (), select(literal(1)).select_from(path).where(*conditions))


def _by_way(
    way: Way, tests: Mapping[str, ColumnElement[bool]], order: Columns, after: tuple[Any, ...] | None
) -> Reading:
    rest = [test for name, test in tests.items() if name not in way.answers]
    found = _reading(way.path, [way.found, *rest], order, after)
    return found if rest else replace(found, counted=way.counted)


def _narrowest(session: Session, ways: Sequence[Way]) -> tuple[Way, bool]:
    """The way with the fewest models, and whether it is narrow; of wide ones the last, which asks for most."""
    counts = [count(session, way.counted, NARROW) for way in ways]
    fewest = min(counts)
    return ways[len(counts) - 1 - counts[::-1].index(fewest)], fewest < NARROW


def _ways_of(session: Session, team_id: UUID, wanted: ModelFilter) -> list[Way]:
    ways = [
        Way(frozenset({name}), _models, and_(in_team(team_id, wanted), column == value), _models, _NEWEST)
        for name, (column, value) in wanted.columns.items()
    ]
    if wanted.tag is not None:
        ways.append(_tag_way(team_id, wanted.tag))
    if wanted.words:
        ways += _word_ways(session, team_id, wanted.words)
    return ways


def _tag_way(team_id: UUID, tag: str) -> Way:
    found = and_(_tags.c.team_id == team_id, _tags.c.tag == tag, _tags.c.is_deleted.is_(False))
    path = nested(_tags, _models, _models.c.id == _tags.c.model_id)
    return Way(frozenset({"tag"}), _tags, found, path, (_tags.c.created_at, _tags.c.model_id))


def _missing_way(missing: Missing) -> Way:
    found = missing.ids.subquery("missing_ids")
    path = nested(found, _models, _models.c.id == found.c.id)
    return Way(frozenset({"missing_on"}), found, true(), path, _NEWEST, is_in_order=False)


def _word_ways(session: Session, team_id: UUID, words: list[str]) -> list[Way]:
    """The index of words, or, where it knows none of them, the texts themselves."""
    asked = select(search_teams.c.number, search_teams.c.is_in_order).where(search_teams.c.team_id == team_id)
    team = session.execute(asked).one_or_none()
    if team is None:
        return []
    # The team's part of the index alone is read: another team's million models cost nothing.
    first, last = team.number << PLACE_BITS, (team.number + 1 << PLACE_BITS) - 1
    models_there = _models.c.id == search_places.c.model_id
    known = indexed_words(words)
    if not known:
        place = search_places.c.place
        found = and_(place.between(first, last), *(has_part(search_places.c.searched, word) for word in words))
        path = nested(search_places, _models, models_there)
        return [Way(frozenset({"q"}), search_places, found, path, (place,), team.is_in_order)]
    place = search_words.c.rowid
    found = and_(has_words(known), place.between(first, last))
    path = nested(nested(search_words, search_places, search_places.c.place == place), _models, models_there)
    answers = frozenset({"q"} if known == words else ())
    return [Way(answers, search_words, found, path, (place,), team.is_in_order)]


def _place(session: Session, way: Way, after: tuple[Any, UUID] | None) -> tuple[Any, ...] | None:
    """The position in the way's own order; None if the model there is gone since, and its place with it."""
    if after is None or len(way.order) > 1:
        return after or ()
    place = session.scalar(select(search_places.c.place).where(search_places.c.model_id == after[1]))
    return None if place is None else (place,)


def count(session: Session, found: Select[Any], most: int) -> int:
    return session.scalar(select(func.count()).select_from(found.limit(most).subquery())) or 0
