"""Pages of a model list: numbered ones with a total, or the page after a cursor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.http.paging import Page, build_cursor_error
from modelyard.server.models.listing.best_matches import Match, find_best_matches, list_words, load_matches
from modelyard.server.models.listing.cursors import (
    build_after_condition,
    build_cursor_position,
    build_match_position,
    is_match_position,
    parse_cursor_position,
    parse_match_position,
)
from modelyard.server.models.listing.filters import count_filters
from modelyard.server.models.listing.index_choice import QueryPlan, choose_query_plan, count_up_to
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.schemas import PageMeta

# The total of a filtered list is counted up to these limits; beyond, it would take too long. One filter is counted in
# its index. A search, and several filters together, have to read each model that the index returns.
MAX_COUNTED_BY_INDEX = 10_000
MAX_COUNTED_BY_READING = 1_000

Row = TypeVar("Row")


@dataclass(frozen=True)
class ModelPage:
    """The models of one page, its paging metadata, and what builds the cursor position after a model by its index."""

    models: list[ModelRow]
    meta: PageMeta
    build_position: Callable[[int], list[Any]]


def list_models(session: Session, team: TeamContext, model_filter: ModelFilter, page: Page) -> ModelPage:
    """Return a page of the team's models that match the filter.

    Raises:
        InvalidRequest: the cursor is malformed, or of a list with another sort.
    """
    position, words = page.position, list_words(model_filter)
    if not words or not (position is None or is_match_position(position)):
        after = None if position is None else parse_cursor_position(model_filter.order, position)
        plan = choose_query_plan(session, team, model_filter, after)
        return _read_in_order(session, team, model_filter, plan, page)
    plan = choose_query_plan(session, team, model_filter, None)
    matches = find_best_matches(session, plan, words, None if position is None else parse_match_position(position))
    if matches is not None:
        return _read_matches(session, matches, page)
    if position is not None:
        raise build_cursor_error()
    return _read_in_order(session, team, model_filter, plan, page)


def _read_in_order(
    session: Session, team: TeamContext, model_filter: ModelFilter, plan: QueryPlan, page: Page
) -> ModelPage:
    """Return a page of what a plan finds, in the plan's order."""
    descending = model_filter.order.startswith("-")
    query = select(ModelRow).select_from(plan.source).where(*plan.conditions)
    query = query.order_by(*_build_order(plan.order, descending))
    if page.cursor is None:
        rows = list(session.scalars(query.offset(page.offset).limit(page.per_page)))
        meta = page.meta(_count_total(session, team, model_filter, plan, page, len(rows)))
    else:
        if plan.after:
            query = query.where(build_after_condition(plan.order, descending, plan.after))
        rows, has_more = _split(list(session.scalars(query.limit(page.per_page + 1))), page)
        meta = page.cursor_meta(build_cursor_position(rows[-1], model_filter.order) if has_more else None)
    return ModelPage(rows, meta, lambda index: build_cursor_position(rows[index], model_filter.order))


def _read_matches(session: Session, matches: Sequence[Match], page: Page) -> ModelPage:
    """Return a page of the matches that follow a cursor, or of all, with their exact count."""
    shown, has_more = _split(matches[page.offset if page.cursor is None else 0 :], page)
    if page.cursor is None:
        meta = page.meta(len(matches))
    else:
        meta = page.cursor_meta(build_match_position(shown[-1]) if has_more else None)
    return ModelPage(load_matches(session, shown), meta, lambda index: build_match_position(shown[index]))


def _split(rows: Sequence[Row], page: Page) -> tuple[list[Row], bool]:
    """Return the rows of a page, of the rows that begin with it, and whether more follow."""
    return list(rows[: page.per_page]), len(rows) > page.per_page


def _build_order(columns: tuple[ColumnElement[Any], ...], descending: bool) -> list[ColumnElement[Any]]:
    """Return the columns with their direction, for ORDER BY."""
    return [column.desc() if descending else column.asc() for column in columns]


def _count_total(
    session: Session, team: TeamContext, model_filter: ModelFilter, plan: QueryPlan, page: Page, row_count: int
) -> int:
    """Return how many models the list has, of which this page has ``row_count``.

    A filtered list is counted up to ``MAX_COUNTED_BY_INDEX`` or ``MAX_COUNTED_BY_READING``.
    """
    is_last_page = row_count < page.per_page and (row_count > 0 or page.offset == 0)
    if is_last_page:
        return page.offset + row_count
    if not count_filters(model_filter):
        return revisions.get_totals(session, team.team_id).living_models
    return count_up_to(session, plan.count_query, get_count_limit(model_filter))


def get_count_limit(model_filter: ModelFilter) -> int:
    """Return at which number the count of a filtered list stops."""
    is_counted_by_index = count_filters(model_filter) == 1 and not model_filter.search_terms
    return MAX_COUNTED_BY_INDEX if is_counted_by_index else MAX_COUNTED_BY_READING
