"""Paging: the page parameters of a request, cursors, and one page of a query with its ``page_meta``."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_
from sqlalchemy import Row as ResultRow
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard.wire.problems import InvalidRequest
from modelyard.wire.schemas import MAX_INT64, PageMeta

# The largest page number whose offset SQLite still accepts, whatever per_page is.
MAX_PAGE = 10_000_000
MAX_PAGE_ROWS = 100


@dataclass(frozen=True)
class Page:
    """The rows that a client requested: a numbered page, or those after a cursor."""

    current_page: int
    per_page: int
    cursor: str | None

    @property
    def offset(self) -> int:
        """Return how many rows precede a numbered page."""
        return (self.current_page - 1) * self.per_page

    @property
    def is_first(self) -> bool:
        """Return whether no rows precede this page."""
        return not self.cursor and self.offset == 0

    @property
    def position(self) -> list[Any] | None:
        """Return the position of the cursor: the sort values of the last row seen; None at the start.

        Raises:
            InvalidRequest: the cursor is malformed.
        """
        return None if not self.cursor else _decode_cursor(self.cursor)

    def meta(self, total_count: int) -> PageMeta:
        """Build ``page_meta`` of a numbered page."""
        return PageMeta(current_page=self.current_page, per_page=self.per_page, total_count=total_count)

    def cursor_meta(self, position: list[Any] | None) -> PageMeta:
        """Build ``page_meta`` with ``position``, of the page's last row, as the next cursor; None if no row follows."""
        return PageMeta(per_page=self.per_page, next_cursor=None if position is None else _encode_cursor(position))


def _encode_cursor(position: list[Any]) -> str:
    """Encode the position of a row as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def _decode_cursor(cursor: str) -> list[Any]:
    """Return the position in a cursor.

    Raises:
        InvalidRequest: the cursor is malformed.
    """
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        position = None
    if not isinstance(position, list):
        raise build_cursor_error()
    return position


def build_cursor_error() -> InvalidRequest:
    """Build the problem for a malformed cursor."""
    message = "This cursor is not valid. Send the `next_cursor` of the previous page, or start without one."
    return InvalidRequest(message, errors=[{"field": "cursor", "message": message}])


async def get_page_params(
    current_page: Annotated[int, Query(ge=1, le=MAX_PAGE, description="The page, from 1.", examples=[1])] = 1,
    per_page: Annotated[
        int, Query(ge=1, le=MAX_PAGE_ROWS, description=f"Rows a page, 1 to {MAX_PAGE_ROWS}.", examples=[20])
    ] = 20,
    cursor: Annotated[
        str | None,
        Query(max_length=2000, description="Empty to start cursor paging; then `next_cursor`.", examples=[""]),
    ] = None,
) -> Page:
    """Return the page parameters; ``cursor``, even if empty, switches to cursor paging."""
    return Page(current_page, per_page, cursor)


PageParams = Annotated[Page, Depends(get_page_params)]


# Counting stops at this number; longer lists are read by cursor.
MAX_COUNTED = 10_000

Columns = tuple[InstrumentedAttribute[Any] | ColumnElement[Any], ...]
Rows = list[ResultRow[*tuple[Any, ...]]]


@dataclass(frozen=True)
class Order:
    """Columns whose values together are unique, all sorted in one direction."""

    columns: Columns
    is_descending: bool = False


def list_page(session: Session, query: Select[*tuple[Any, ...]], page: Page, order: Order) -> tuple[Rows, PageMeta]:
    """Return the rows of one page (the columns of ``query``, then those of ``order``) and its ``page_meta``.

    Numbered pages have a total count, at most 10,000; cursor pages have none.

    Raises:
        InvalidRequest: the cursor is malformed.
    """
    ordered = query.add_columns(*order.columns).order_by(
        *(column.desc() if order.is_descending else column.asc() for column in order.columns)
    )
    if page.cursor is None:
        rows = session.execute(ordered.offset(page.offset).limit(page.per_page)).all()
        return list(rows), page.meta(_count_rows(session, query))
    return _load_after_cursor(session, ordered, page, order)


def _load_after_cursor(
    session: Session, ordered: Select[*tuple[Any, ...]], page: Page, order: Order
) -> tuple[Rows, PageMeta]:
    """Load the rows after the cursor, from the start if it is empty; ``page_meta`` has a next cursor if more follow.

    Raises:
        InvalidRequest: the cursor is malformed.
    """
    position = page.position
    if position is not None:
        row_position, cursor_position = tuple_(*order.columns), tuple_(*_parse_values(position, order.columns))
        ordered = ordered.where(
            row_position < cursor_position if order.is_descending else row_position > cursor_position
        )
    # One row more than requested shows whether another page follows.
    rows = list(session.execute(ordered.limit(page.per_page + 1)).all())
    page_rows = rows[: page.per_page]
    last = page_rows[-1][-len(order.columns) :] if len(rows) > page.per_page else None
    return page_rows, page.cursor_meta(None if last is None else [_format_value(value) for value in last])


def _count_rows(session: Session, query: Select[*tuple[Any, ...]]) -> int:
    """Return the number of rows, at most ``MAX_COUNTED``."""
    counted = query.with_only_columns(literal(1).label("one")).limit(MAX_COUNTED).subquery()
    return session.scalar(select(func.count()).select_from(counted)) or 0


def _format_value(value: Any) -> str:
    """Format a column value for a cursor."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _parse_values(position: list[Any], columns: Columns) -> list[Any]:
    """Parse the values of a cursor by the types of the columns.

    Raises:
        InvalidRequest: one is malformed.
    """
    if len(position) != len(columns) or not all(isinstance(text, str) for text in position):
        raise build_cursor_error()
    try:
        return [_parse_value(text, column) for text, column in zip(position, columns, strict=True)]
    except (ValueError, OverflowError):
        raise build_cursor_error() from None


def _parse_value(text: str, column: InstrumentedAttribute[Any] | ColumnElement[Any]) -> Any:
    """Parse one value of a cursor, a UUID, a text, a number or an aware time by the column's type, into a bound value.

    Raises:
        ValueError, OverflowError: it is malformed or cannot be stored.
    """
    if column.type.python_type is UUID:
        return literal(UUID(text), column.type)
    if column.type.python_type is str:
        # PostgreSQL stores no NUL, and a lone surrogate cannot be encoded.
        if "\x00" in text or not text.encode():
            raise ValueError(text)
        return literal(text, column.type)
    if column.type.python_type is int:
        number = int(text)
        if abs(number) > MAX_INT64:
            raise ValueError(text)
        return literal(number, column.type)
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None or not 1970 < moment.year < 9999:
        raise ValueError(text)
    return literal(moment, column.type)
