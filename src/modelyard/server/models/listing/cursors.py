"""Where a cursor points: at the last row seen, by the sort's value and the row's id."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_

from modelyard.server.models.listing.filters import Sort
from modelyard.server.models.tables import ModelRow
from modelyard.server.paging import bad_cursor


def position_of(row: ModelRow, sort: Sort) -> list[Any]:
    value = getattr(row, sort.lstrip("-"))
    return [sort, value.isoformat() if isinstance(value, datetime) else value, str(row.id)]


def after(columns: tuple[ColumnElement[Any], ...], descending: bool, values: tuple[Any, ...]) -> ColumnElement[bool]:
    """The rows that follow these values of one or two columns that they are sorted by."""
    (first, *rest), (value, *ties) = columns, values
    beyond: ColumnElement[bool] = first < value if descending else first > value
    if not rest:
        return beyond
    tied = rest[0] < ties[0] if descending else rest[0] > ties[0]
    return and_(first <= value if descending else first >= value, or_(beyond, tied))


def checked_position(sort: Sort, position: list[Any]) -> tuple[Any, UUID]:
    """The cursor's value and id with their types; a cursor of another sort, or an invented one, is refused.

    Raises:
        InvalidRequest: it is one of these.
    """
    try:
        sort_then, value, row_id = position
        if sort.endswith("created_at"):
            value = datetime.fromisoformat(value)
            # Both ends are left out, since what is near them may have no time in another zone.
            is_right = value.tzinfo is not None and 1 < value.year < 9999
        elif sort.endswith("file_size"):
            is_right = type(value) is int and 0 <= value < 2**63
        else:
            is_right = isinstance(value, str) and "\x00" not in value and bool(value.encode())
        found = UUID(row_id)
    except (TypeError, ValueError, AttributeError):
        raise bad_cursor() from None
    if sort_then != sort or not is_right:
        raise bad_cursor()
    return value, found
