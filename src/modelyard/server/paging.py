"""Page parameters and ``page_meta``: numbered pages as in the source API, and cursors that cost the same everywhere."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query

from modelyard.wire.problems import InvalidRequest
from modelyard.wire.shapes import PageMeta

# A page number that SQLite's OFFSET can still take, whatever per_page is.
MAX_PAGE = 10_000_000


@dataclass(frozen=True)
class Page:
    """The rows that a caller asked for: a numbered page, or what follows a cursor."""

    current_page: int
    per_page: int
    cursor: str | None

    @property
    def offset(self) -> int:
        return (self.current_page - 1) * self.per_page

    @property
    def position(self) -> list[Any] | None:
        """Where the cursor points: the sort values of the last row seen; None at the start.

        Raises:
            InvalidRequest: the cursor is none of ours.
        """
        return None if not self.cursor else _decode(self.cursor)

    def meta(self, total_count: int) -> PageMeta:
        return PageMeta(current_page=self.current_page, per_page=self.per_page, total_count=total_count)

    def cursor_meta(self, position: list[Any] | None) -> PageMeta:
        """``position`` is that of the last row on the page, or None if no row follows."""
        return PageMeta(per_page=self.per_page, next_cursor=None if position is None else _encode(position))


def _encode(position: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def _decode(cursor: str) -> list[Any]:
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        position = None
    if not isinstance(position, list):
        raise bad_cursor()
    return position


def bad_cursor() -> InvalidRequest:
    return InvalidRequest(
        "This cursor is none of ours.", errors=[{"field": "cursor", "message": "This cursor is none of ours."}]
    )


async def asked_page(
    current_page: Annotated[int, Query(ge=1, le=MAX_PAGE, description="The page, from 1.", examples=[1])] = 1,
    per_page: Annotated[int, Query(ge=1, le=100, description="Rows a page, 1 to 100.", examples=[20])] = 20,
    cursor: Annotated[
        str | None,
        Query(max_length=2000, description="Empty to start cursor paging; then `next_cursor`.", examples=[""]),
    ] = None,
) -> Page:
    return Page(current_page, per_page, cursor)


AskedPage = Annotated[Page, Depends(asked_page)]
