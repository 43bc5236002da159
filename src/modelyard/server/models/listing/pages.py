"""Pages of models: numbered with a total, or after a cursor."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from modelyard.server import changes
from modelyard.server.models.listing.cursors import after, checked_position, position_of
from modelyard.server.models.listing.filters import ModelFilter
from modelyard.server.models.listing.ways import Reading, count, reading_of
from modelyard.server.models.tables import ModelRow
from modelyard.server.paging import Page
from modelyard.server.teams.acting import Acting
from modelyard.wire.shapes import PageMeta

# A filtered list says how many there are up to here; beyond, a count would be a scan. One filter is counted in its
# index; of a search, and where several filters meet, the models found have to be looked at.
MOST_COUNTED = 10_000
MOST_SOUGHT = 1_000


@dataclass(frozen=True)
class Listed:
    """A page of rows, and where it stands."""

    models: list[ModelRow]
    meta: PageMeta


def list_models(session: Session, acting: Acting, wanted: ModelFilter, page: Page) -> Listed:
    """A page of the team's models.

    Raises:
        InvalidRequest: the cursor is none of ours.
    """
    position = None if page.position is None else checked_position(wanted.sort, page.position)
    reading = reading_of(session, acting.team_id, wanted, position)
    descending = wanted.sort.startswith("-")
    query = select(ModelRow).select_from(reading.path).where(*reading.conditions)
    query = query.order_by(*_directed(reading.order, descending))
    if page.cursor is None:
        rows = list(session.scalars(query.offset(page.offset).limit(page.per_page)))
        is_last = len(rows) < page.per_page and (bool(rows) or page.offset == 0)
        # Whoever has seen the end of a list need not count it again.
        total = page.offset + len(rows) if is_last else _total(session, acting, wanted, reading)
        return Listed(rows, page.meta(total))

    if reading.after:
        query = query.where(after(reading.order, descending, reading.after))
    rows = list(session.scalars(query.limit(page.per_page + 1)))
    more = len(rows) > page.per_page
    rows = rows[: page.per_page]
    return Listed(rows, page.cursor_meta(position_of(rows[-1], wanted.sort) if more else None))


def _directed(order: tuple[ColumnElement[Any], ...], descending: bool) -> list[ColumnElement[Any]]:
    return [column.desc() if descending else column.asc() for column in order]


def _total(session: Session, acting: Acting, wanted: ModelFilter, reading: Reading) -> int:
    if not wanted.filters:
        return changes.totals_of(session, acting.team_id).living_models
    is_quick = wanted.filters == 1 and not wanted.words
    return count(session, reading.counted, MOST_COUNTED if is_quick else MOST_SOUGHT)
