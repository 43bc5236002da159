"""Cursors of model lists: the position of the last row of a page, as the sort, the row's sort value and its id.

In a list that begins with its best matches, the sort value is the rank of the match and the time of creation.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_

from modelyard.server.http.paging import build_cursor_error
from modelyard.server.models.listing.best_matches import Match
from modelyard.server.models.tables import ModelRow
from modelyard.wire.model_filter import Sort

_BEST = "best"
# Sorts by another attribute of a model than the one of their name.
_ATTRIBUTES = {"file_size": "content_size", "last_used_at": "last_used_second"}


def build_cursor_position(row: ModelRow, sort: Sort) -> list[Any]:
    """Return the position after a row as JSON values: the sort, the value of its column, and the row's id."""
    name = sort.lstrip("-")
    value = getattr(row, _ATTRIBUTES.get(name, name))
    return [sort, value.isoformat() if isinstance(value, datetime) else value, str(row.id)]


def build_after_condition(
    columns: tuple[ColumnElement[Any], ...], descending: bool, values: tuple[Any, ...]
) -> ColumnElement[bool]:
    """Build the condition for rows that come after ``values`` in an order by one or two ``columns``."""
    (first, *more_columns), (value, *more_values) = columns, values
    is_after: ColumnElement[bool] = first < value if descending else first > value
    if not more_columns:
        return is_after
    is_after_tie = more_columns[0] < more_values[0] if descending else more_columns[0] > more_values[0]
    return and_(first <= value if descending else first >= value, or_(is_after, is_after_tie))


def parse_cursor_position(sort: Sort, position: list[Any]) -> tuple[Any, UUID]:
    """Return the sort value, with the type of its column, and the row id of a cursor's position.

    Raises:
        InvalidRequest: the cursor is of another sort, or its position is malformed.
    """
    try:
        cursor_sort, value, row_id = position
        if sort.endswith("created_at"):
            value = _parse_time(value)
            is_valid = True
        elif sort.endswith(("file_size", "last_used_at")):
            is_valid = type(value) is int and 0 <= value < 2**63
        else:
            is_valid = isinstance(value, str) and "\x00" not in value and bool(value.encode())
        model_id = UUID(row_id)
    except (TypeError, ValueError, AttributeError):
        raise build_cursor_error() from None
    if cursor_sort != sort or not is_valid:
        raise build_cursor_error()
    return value, model_id


def build_match_position(match: Match) -> list[Any]:
    """Return the position after a match as JSON values."""
    return [_BEST, [match.rank, match.created_at.isoformat()], str(match.model_id)]


def is_match_position(position: list[Any]) -> bool:
    """Return whether a position is one of a list that begins with its best matches."""
    return position[:1] == [_BEST]


def parse_match_position(position: list[Any]) -> Match:
    """Return the match of a cursor's position.

    Raises:
        InvalidRequest: the position is malformed.
    """
    try:
        _, (rank, created_at), model_id = position
        match = Match(rank, _parse_time(created_at), UUID(model_id))
    except (TypeError, ValueError, AttributeError):
        raise build_cursor_error() from None
    if type(rank) is not int:
        raise build_cursor_error()
    return match


def _parse_time(text: str) -> datetime:
    """Return the time of a cursor.

    Raises:
        TypeError, ValueError: it is malformed, or of the first or last year: a time near these limits may not exist in
            another time zone.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None or not 1 < time.year < 9999:
        raise ValueError(text)
    return time
