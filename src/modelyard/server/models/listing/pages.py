"""Pages of a model list: numbered ones with a total, or the page after a cursor."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.http.paging import Page
from modelyard.server.models.listing.cursors import build_after_condition, build_cursor_position, parse_cursor_position
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


@dataclass(frozen=True)
class ModelPage:
    """The models of one page, and its paging metadata."""

    models: list[ModelRow]
    meta: PageMeta


def list_models(session: Session, team: TeamContext, model_filter: ModelFilter, page: Page) -> ModelPage:
    """Return a page of the team's models that match the filter.

    Raises:
        InvalidRequest: the cursor is malformed, or of a list with another sort.
    """
    position = None if page.position is None else parse_cursor_position(model_filter.sort, page.position)
    plan = choose_query_plan(session, team, model_filter, position)
    descending = model_filter.sort.startswith("-")
    query = select(ModelRow).select_from(plan.source).where(*plan.conditions)
    query = query.order_by(*_build_order(plan.order, descending))
    if page.cursor is None:
        rows = list(session.scalars(query.offset(page.offset).limit(page.per_page)))
        return ModelPage(rows, page.meta(_count_total(session, team, model_filter, plan, page, len(rows))))
    if plan.after:
        query = query.where(build_after_condition(plan.order, descending, plan.after))
    return _read_cursor_page(session, query, model_filter, page)


def _read_cursor_page(session: Session, query: Select[ModelRow], model_filter: ModelFilter, page: Page) -> ModelPage:
    """Return the first page of a query, with a cursor to the next one if there are more rows."""
    rows = list(session.scalars(query.limit(page.per_page + 1)))
    has_more = len(rows) > page.per_page
    rows = rows[: page.per_page]
    next_position = build_cursor_position(rows[-1], model_filter.sort) if has_more else None
    return ModelPage(rows, page.cursor_meta(next_position))


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
