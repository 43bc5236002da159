"""A page of a query: numbered with a count, or after a cursor, in one stable order."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row as Found
from sqlalchemy import Select, func, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard.server.paging import Page, bad_cursor
from modelyard.wire.shapes import PageMeta

# Counting stops here: a longer list says this number, and is read by cursor.
COUNTED = 10_000

Columns = tuple[InstrumentedAttribute[Any], ...]
Rows = list[Found[*tuple[Any, ...]]]


@dataclass(frozen=True)
class Order:
    """Columns that together are different in every row, all in one direction."""

    columns: Columns
    is_descending: bool = False


def listed(session: Session, found: Select[*tuple[Any, ...]], page: Page, order: Order) -> tuple[Rows, PageMeta]:
    """The rows of one page (with the columns of ``found`` first) and its ``page_meta``.

    Raises:
        InvalidRequest: the cursor is none of ours.
    """
    ordered = found.add_columns(*order.columns).order_by(
        *(column.desc() if order.is_descending else column.asc() for column in order.columns)
    )
    if page.cursor is None:
        rows = session.execute(ordered.offset(page.offset).limit(page.per_page)).all()
        return list(rows), page.meta(_count(session, found))
    return _after_cursor(session, ordered, page, order)


def _after_cursor(
    session: Session, ordered: Select[*tuple[Any, ...]], page: Page, order: Order
) -> tuple[Rows, PageMeta]:
    position = page.position
    if position is not None:
        here, there = tuple_(*order.columns), tuple_(*_values(position, order.columns))
        ordered = ordered.where(here < there if order.is_descending else here > there)
    # One row more than asked tells whether another page follows.
    rows = list(session.execute(ordered.limit(page.per_page + 1)).all())
    shown = rows[: page.per_page]
    last = shown[-1][-len(order.columns) :] if len(rows) > page.per_page else None
    return shown, page.cursor_meta(None if last is None else [_text(value) for value in last])


def _count(session: Session, found: Select[*tuple[Any, ...]]) -> int:
    some = found.with_only_columns(literal(1).label("one")).limit(COUNTED).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _values(position: list[Any], columns: Columns) -> list[Any]:
    if len(position) != len(columns) or not all(isinstance(text, str) for text in position):
        raise bad_cursor()
    try:
        return [_value(text, column) for text, column in zip(position, columns, strict=True)]
    except (ValueError, OverflowError):
        raise bad_cursor() from None


def _value(text: str, column: InstrumentedAttribute[Any]) -> Any:
    if column.type.python_type is UUID:
        return literal(UUID(text), column.type)
    if column.type.python_type is str:
        # PostgreSQL stores no NUL, and nothing encodes half a character.
        if "\x00" in text or not text.encode():
            raise ValueError(text)
        return literal(text, column.type)
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None or not 1970 < moment.year < 9999:
        raise ValueError(text)
    return literal(moment, column.type)
